import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The keyed rule of bench/rule/rule.py on Kafka Streams: a cached in-memory store with its changelog. */
public final class Rule implements FixedKeyProcessor<byte[], byte[], byte[]> {
    private static final int FUNDERS = 12;
    private static final int KEPT = 4;
    private static final long MIX = 0x9E3779B97F4A7C15L;
    private static final String STORE = "borrowers";
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private FixedKeyProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> store;

    @Override
    public void init(FixedKeyProcessorContext<byte[], byte[]> context) {
        this.context = context;
        this.store = context.getStateStore(STORE);
    }

    @Override
    public void process(FixedKeyRecord<byte[], byte[]> record) {
        try {
            JsonNode request = MAPPER.readTree(record.value());
            byte[] known = store.get(record.key());
            byte[] before = known == null ? new byte[0] : known;
            String drawdown = request.get("drawdown_id").textValue();
            int chosen = choose(drawdown, before.length == 0 ? -1 : before[before.length - 1]);
            int dropped = Math.max(0, before.length + 1 - KEPT);
            byte[] after = Arrays.copyOfRange(before, dropped, before.length + 1);
            after[after.length - 1] = (byte) chosen;
            store.put(record.key(), after);
            context.forward(record.withValue(decision(request, drawdown, chosen, before)));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static int choose(String drawdown, int last) {
        CRC32 crc = new CRC32();
        crc.update(drawdown.getBytes(StandardCharsets.UTF_8));
        long mixed = crc.getValue() * MIX;
        long best = -1;
        int chosen = -1;
        for (int number = 0; number < FUNDERS; number++) {
            long score = (mixed >>> (4 * number) & 0xFFFF) * (1 + number % 3);
            if (score > best && number != last) {
                best = score;
                chosen = number;
            }
        }
        return chosen;
    }

    private static byte[] decision(JsonNode request, String drawdown, int chosen, byte[] before) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(160);
        try (var json = MAPPER.createGenerator(bytes)) {
            json.writeStartObject();
            json.writeStringField("drawdown_id", drawdown);
            json.writeStringField("customer_id", request.get("customer_id").textValue());
            json.writeNumberField("amount", request.get("amount").longValue());
            json.writeStringField("funder_id", name(chosen));
            json.writeArrayFieldStart("before");
            for (byte number : before) {
                json.writeString(name(number));
            }
            json.writeEndArray();
            json.writeEndObject();
        }
        return bytes.toByteArray();
    }

    private static String name(int number) {
        return number < 10 ? "funder-0" + number : "funder-" + number;
    }

    public static void main(String[] arguments) throws InterruptedException {
        String prefix = System.getenv("LOANROUTER_TOPIC_PREFIX");
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "loanrouter");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("LOANROUTER_KAFKA"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("LOANROUTER_DATA"));
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");

        var bytes = Serdes.ByteArray();
        var builder = new StreamsBuilder();
        builder.addStateStore(
            Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(STORE), bytes, bytes).withCachingEnabled());
        builder.stream(prefix + "drawdown-requests", Consumed.with(bytes, bytes))
            .processValues(Rule::new, STORE)
            .to(prefix + "routing-decisions", Produced.with(bytes, bytes));

        var streams = new KafkaStreams(builder.build(), settings);
        var ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }
}
