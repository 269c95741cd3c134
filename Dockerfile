# headcount in a container:
#
#   docker build -t headcount .
#   docker run --rm headcount demo --for 30s
#   docker run -e HEADCOUNT_BROKER=kafka1:9092 --read-only --cap-drop ALL headcount
#
# Instructions that every builder knows; scripts/check-image executes them, with or without a container engine.

FROM rust:1.95-slim-bookworm AS build
# What OpenSSL, librdkafka and zstd are built with: the same list as in scripts/lib.sh.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential perl pkg-config \
    && rm -rf /var/lib/apt/lists/*
# Neither debug info nor symbols go into the image.
ENV CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /headcount
# The dependencies, minutes of work, have a layer of their own that lasts until Cargo.toml or Cargo.lock change: they are
# built for an empty program, of which nothing may stay, for what is copied below is older than it.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/decode benches/load \
    && touch src/lib.rs benches/decode/main.rs benches/flood.rs benches/load/main.rs benches/trailing.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked \
    && cargo clean --release --locked -p headcount
# Their licences ask to be named wherever the program goes. Cargo unpacked what the build uses, and nothing else.
RUN cd "$CARGO_HOME/registry/src" \
    && find . -mindepth 3 -maxdepth 5 -type f \
        '(' -iname 'LICEN[CS]E*' -o -iname 'COPYING*' -o -iname 'COPYRIGHT*' -o -iname 'NOTICE*' ')' -print0 \
    | sort -z \
    | tar -czf /third-party-licences.tar.gz --owner=0 --group=0 --null -T -
COPY benches benches
COPY src src
RUN cargo build --release --locked --offline

# Not a distroless image: for 50 MB more there is a shell, for pipelines such as that of packaging/docker-compose.yml.
FROM debian:bookworm-slim
ARG REVISION=unknown
LABEL org.opencontainers.image.title="headcount" \
    org.opencontainers.image.description="How many distinct users did we have: counted live from a Kafka topic" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.base.name="debian:bookworm-slim"
# Where librdkafka looks for them first if ssl.ca.location is not set. A copy instead of the package, which brings openssl.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/share/doc/ca-certificates/copyright /usr/share/doc/ca-certificates/
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/headcount/
COPY --from=build /third-party-licences.tar.gz /usr/share/doc/headcount/
COPY --from=build /headcount/target/release/headcount /usr/local/bin/
# A number, so that an orchestrator can see that it is not root; it owns no file, and needs none.
USER 10001:10001
STOPSIGNAL SIGTERM
# For `run`, the default: healthy while the newest tick is young. Raise --max-age with HEADCOUNT_EVERY; switch it off
# (--no-healthcheck) for the other commands.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["headcount", "top", "--once", "--max-age", "30s"]
ENTRYPOINT ["headcount"]
CMD ["run"]
