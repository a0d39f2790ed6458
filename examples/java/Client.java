import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Sends requests and prints their answers, each as a line of id, status and body. With org.apache.kafka:kafka-clients alone:
 *
 * <pre>java -cp 'libs/*' Client.java localhost:9092 iris.requests iris.results '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'</pre>
 *
 * <p>Arguments: brokers, request topic, result topic, and the bodies of the requests; each gets an id in a header. Ends with 1
 * if an answer is missing after half a minute.
 */
public final class Client {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    public static void main(String[] arguments) throws Exception {
        String brokers = arguments[0];
        List<String> bodies = Arrays.asList(arguments).subList(3, arguments.length);
        var strings = new StringDeserializer();
        // What a worker with delivery: exactly_once has aborted is no answer.
        Map<String, Object> reading = Map.of("bootstrap.servers", brokers, "isolation.level", "read_committed");
        Map<String, Object> writing = Map.of("bootstrap.servers", brokers);
        try (var consumer = new KafkaConsumer<>(reading, strings, strings);
                var producer = new KafkaProducer<>(writing, new StringSerializer(), new StringSerializer())) {
            // From where the topic ends now, all partitions of it, beside whoever else reads it.
            var partitions = consumer.partitionsFor(arguments[2]).stream()
                    .map(info -> new TopicPartition(info.topic(), info.partition()))
                    .toList();
            consumer.assign(partitions);
            consumer.seekToEnd(partitions);
            // Asks for the ends now, before anything is sent: an answer that comes at once is not missed.
            partitions.forEach(consumer::position);

            var waiting = new TreeSet<String>();
            for (String body : bodies) {
                String id = UUID.randomUUID().toString();
                var request = new ProducerRecord<String, String>(arguments[1], body);
                request.headers().add("content-type", bytes("application/json")).add("x-request-id", bytes(id));
                waiting.add(id);
                producer.send(request).get();
            }
            receive(consumer, waiting);
            waiting.forEach(id -> System.err.println("no answer to " + id + " within " + PATIENCE.toSeconds() + " seconds"));
            if (!waiting.isEmpty()) {
                System.exit(1);
            }
        }
    }

    /** Prints the answers to those who wait, until nobody does or the time is up. */
    private static void receive(KafkaConsumer<String, String> consumer, TreeSet<String> waiting) {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!waiting.isEmpty() && System.nanoTime() < deadline) {
            for (ConsumerRecord<String, String> answer : consumer.poll(Duration.ofMillis(200))) {
                // The key of an answer is the id of its request; others may send requests, too.
                if (waiting.remove(answer.key())) {
                    String status = new String(answer.headers().lastHeader("status").value(), StandardCharsets.UTF_8);
                    System.out.println(answer.key() + "\t" + status + "\t" + answer.value());
                }
            }
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
