package bench;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.TgtHllType;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * A sketch for each window of a partition, in a state store. Those in use are kept as objects and written before each
 * commit: to read one from its bytes and write it back for every frame would cost far more than to update it.
 */
final class Sketches {
    /** As many registers as headcount and uniqCombined have unless told otherwise. */
    static final int LG_REGISTERS = 17;

    /** Sketches kept as objects, 128 KiB each at most. */
    private static final int IN_USE = 1000;

    private final KeyValueStore<String, byte[]> stored;
    private final Map<String, HllSketch> inUse = new LinkedHashMap<>(16, 0.75f, true);

    Sketches(KeyValueStore<String, byte[]> stored) {
        this.stored = stored;
    }

    void see(String window, String user) {
        HllSketch sketch = inUse.get(window);
        if (sketch == null) {
            byte[] bytes = stored.get(window);
            sketch = bytes == null ? new HllSketch(LG_REGISTERS, TgtHllType.HLL_8) : HllSketch.heapify(bytes);
            inUse.put(window, sketch);
            makeRoom();
        }
        sketch.update(user);
    }

    private void makeRoom() {
        if (inUse.size() > IN_USE) {
            Iterator<Map.Entry<String, HllSketch>> oldest = inUse.entrySet().iterator();
            write(oldest.next());
            oldest.remove();
        }
    }

    void write() {
        inUse.entrySet().forEach(this::write);
    }

    private void write(Map.Entry<String, HllSketch> entry) {
        stored.put(entry.getKey(), entry.getValue().toUpdatableByteArray());
    }
}
