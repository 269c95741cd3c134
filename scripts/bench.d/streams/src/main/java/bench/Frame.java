package bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.streams.processor.TimestampExtractor;

/** What counts of a frame. Jackson takes the time from a string too, and the last of a key that stands twice. */
@JsonIgnoreProperties(ignoreUnknown = true)
public final class Frame {
    private static final ObjectReader READER = new ObjectMapper().readerFor(Frame.class);

    public String uid;
    /** Unix seconds, with a fraction or without. */
    public double ts;

    /** Null where the bytes are no frame. */
    static final class Reader implements Deserializer<Frame> {
        @Override
        public Frame deserialize(String topic, byte[] bytes) {
            try {
                Frame frame = READER.readValue(bytes);
                return frame == null || frame.uid == null ? null : frame;
            } catch (IOException error) {
                return null;
            }
        }
    }

    /** Event time; what is no frame keeps the time of those before it. */
    static final class Time implements TimestampExtractor {
        @Override
        public long extract(ConsumerRecord<Object, Object> record, long partitionTime) {
            return record.value() instanceof Frame frame ? (long) (frame.ts * 1000) : Math.max(0, partitionTime);
        }
    }
}
