// Reads the frames of a file with simdjson's DOM parser, once for each line on standard input, and answers with the
// seconds of processor time that it took. Frames are found beforehand and lie one behind the other with the padding that
// the parser wants, so that nothing is copied.
#include <simdjson.h>
#include <cstdio>
#include <ctime>
#include <utility>
#include <vector>

static double cpu_s() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int, char **arguments) {
    simdjson::padded_string text;
    if (simdjson::padded_string::load(arguments[1]).get(text)) return 1;
    std::vector<std::pair<const char *, size_t>> frames;
    const char *start = text.data(), *end = start + text.size();
    for (const char *at = start; at < end; at++) {
        if (*at == '\n') {
            frames.emplace_back(start, at - start);
            start = at + 1;
        }
    }
    simdjson::dom::parser parser;
    uint64_t digest = 0;
    while (std::getchar() != EOF) {
        double begin = cpu_s();
        for (auto [frame, size] : frames) {
            simdjson::dom::element root;
            if (parser.parse(frame, size, false).get(root)) continue;
            std::string_view uid;
            uint64_t ts;
            if (!root["uid"].get(uid) && !root["ts"].get(ts)) digest += uid.size() ^ ts;
        }
        std::printf("%.9f\n", cpu_s() - begin);
        std::fflush(stdout);
    }
    return digest == 1;
}
