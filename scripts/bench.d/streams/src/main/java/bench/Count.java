package bench;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.Union;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Distinct users by minute, hour and day of event time, of what a topic holds now: a processor with a state store, as the
 * manual of Kafka Streams has it. No frame is sent through a repartition topic: each partition has sketches of its own, and
 * those of a window are united when somebody asks.
 *
 * <p>Arguments: brokers, topic, partitions, state directory. Prints {@code all USERS} and {@code minute START USERS}.
 */
public final class Count {
    private static final String STORE = "sketches";
    private static final int THREADS = 2;
    /** Between two commits: the default of Streams. */
    private static final Duration EVERY = Duration.ofSeconds(30);
    private static final Duration LIMIT = Duration.ofMinutes(15);
    private static final Map<String, Long> PERIODS_S = Map.of("minute", 60L, "hour", 3_600L, "day", 86_400L);

    private static final Serializer<Frame> NEVER_WRITTEN = (topic, frame) -> {
        throw new UnsupportedOperationException();
    };

    private final Map<Integer, Long> ends;
    private final CountDownLatch partitionsLeft;
    private final AtomicBoolean failed = new AtomicBoolean();

    private Count(Map<Integer, Long> ends) {
        this.ends = ends;
        this.partitionsLeft = new CountDownLatch(ends.size());
    }

    public static void main(String[] args) throws Exception {
        String brokers = args[0];
        String topic = args[1];
        Count count = new Count(ends(brokers, topic, Integer.parseInt(args[2])));
        boolean whole;
        try (KafkaStreams streams = new KafkaStreams(count.topology(topic), config(brokers, args[3]))) {
            streams.setUncaughtExceptionHandler(count::failed);
            streams.start();
            whole = count.partitionsLeft.await(LIMIT.toSeconds(), TimeUnit.SECONDS) && !count.failed.get();
            if (whole) {
                report(streams);
            }
        }
        System.exit(whole ? 0 : 1);
    }

    /** The end of each partition that holds anything. */
    private static Map<Integer, Long> ends(String brokers, String topic, int partitions) throws Exception {
        Map<TopicPartition, OffsetSpec> asked = IntStream.range(0, partitions).boxed()
                .collect(Collectors.toMap(partition -> new TopicPartition(topic, partition), partition -> OffsetSpec.latest()));
        try (Admin admin = Admin.create(Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, brokers))) {
            Map<Integer, Long> ends = new HashMap<>();
            admin.listOffsets(asked).all().get().forEach((partition, end) -> ends.put(partition.partition(), end.offset()));
            ends.values().removeIf(end -> end == 0);
            return ends;
        }
    }

    private static Properties config(String brokers, String state) {
        Properties config = new Properties();
        // A new application each time: it has no offsets yet, so it begins where the topic does.
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-" + ProcessHandle.current().pid());
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
        config.put(StreamsConfig.STATE_DIR_CONFIG, state);
        // Offsets are committed when the sketches that reflect them have been written, and not in between.
        config.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Duration.ofDays(1).toMillis());
        return config;
    }

    private Topology topology(String topic) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray()));
        Serde<Frame> frames = new Serdes.WrapperSerde<>(NEVER_WRITTEN, new Frame.Reader());
        builder.stream(topic, Consumed.with(Serdes.ByteArray(), frames).withTimestampExtractor(new Frame.Time()))
                .process(Counter::new, STORE);
        return builder.build();
    }

    private StreamThreadExceptionResponse failed(Throwable error) {
        error.printStackTrace();
        failed.set(true);
        while (partitionsLeft.getCount() > 0) {
            partitionsLeft.countDown();
        }
        return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    }

    private static void report(KafkaStreams streams) {
        Map<String, Union> windows = new TreeMap<>();
        Union all = new Union(Sketches.LG_REGISTERS);
        ReadOnlyKeyValueStore<String, byte[]> store = streams.store(
                StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.keyValueStore()));
        // The stores of all partitions, one after the other: a window comes once for each.
        try (KeyValueIterator<String, byte[]> entries = store.all()) {
            entries.forEachRemaining(entry -> {
                HllSketch sketch = HllSketch.heapify(entry.value);
                windows.computeIfAbsent(entry.key, name -> new Union(Sketches.LG_REGISTERS)).update(sketch);
                if (entry.key.startsWith("day ")) {
                    all.update(sketch);
                }
            });
        }
        System.out.println("all " + Math.round(all.getEstimate()));
        windows.forEach((window, users) -> {
            if (window.startsWith("minute ")) {
                System.out.println(window + " " + Math.round(users.getEstimate()));
            }
        });
    }

    private final class Counter extends ContextualProcessor<byte[], Frame, Void, Void> {
        private Sketches sketches;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            super.init(context);
            sketches = new Sketches(context.getStateStore(STORE));
            context.schedule(EVERY, PunctuationType.WALL_CLOCK_TIME, now -> {
                sketches.write();
                context.commit();
            });
        }

        @Override
        public void process(Record<byte[], Frame> record) {
            Frame frame = record.value();
            if (frame != null) {
                long second = record.timestamp() / 1000;
                PERIODS_S.forEach((name, length) -> sketches.see(name + " " + (second - second % length), frame.uid));
            }
            context().recordMetadata().ifPresent(at -> {
                if (at.offset() + 1 == ends.getOrDefault(at.partition(), 0L)) {
                    sketches.write();
                    partitionsLeft.countDown();
                }
            });
        }

        @Override
        public void close() {
            sketches.write();
        }
    }
}
