package example;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.listener.ContainerProperties;
import org.springframework.kafka.listener.KafkaMessageListenerContainer;
import org.springframework.kafka.requestreply.KafkaReplyTimeoutException;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;
import org.springframework.kafka.requestreply.RequestReplyFuture;
import org.springframework.kafka.support.TopicPartitionOffset;

/**
 * Requests in, answers out, by Spring's {@link ReplyingKafkaTemplate}: each line of standard input is the body of a request,
 * and its answer is printed as a line of status, partition and body; TIMEOUT and the request where none came in time.
 *
 * <p>Arguments: brokers, request topic, reply topic, the partition of it or "any", and the seconds to wait for an answer.
 * The reply topic must be on the pipeline's list, output.reply_topics.
 */
public final class ReplyingClient {
    public static void main(String[] arguments) throws Exception {
        String brokers = arguments[0];
        String requests = arguments[1];
        ContainerProperties replies = replies(arguments[2], arguments[3]);
        Duration patience = Duration.ofSeconds(Long.parseLong(arguments[4]));
        var producer = new DefaultKafkaProducerFactory<String, String>(
                Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers), new StringSerializer(), new StringSerializer());
        var consumer = new DefaultKafkaConsumerFactory<String, String>(
                Map.of(
                        ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers,
                        // Each client has a group of its own, or they would share its partitions and miss answers.
                        ConsumerConfig.GROUP_ID_CONFIG, "replies-" + UUID.randomUUID(),
                        // What a worker with delivery: exactly_once has aborted is no answer.
                        ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed"),
                new StringDeserializer(), new StringDeserializer());
        var template = new ReplyingKafkaTemplate<>(producer, new KafkaMessageListenerContainer<>(consumer, replies));
        // Answers to other clients of this topic are not ours.
        template.setSharedReplyTopic(true);
        template.setDefaultReplyTimeout(patience);
        template.start();
        try {
            if (!template.waitForAssignment(Duration.ofSeconds(30))) {
                throw new IllegalStateException("no partition of the reply topic was assigned within 30 seconds");
            }
            exchange(template, requests);
        } finally {
            template.stop();
            // An application context does this at its end; without it the template's timer keeps the process alive.
            template.destroy();
            producer.destroy();
        }
    }

    /** Spring takes the reply headers from here: kafka_replyTopic, and kafka_replyPartition where one partition is named. */
    private static ContainerProperties replies(String topic, String partition) {
        return partition.equals("any")
                ? new ContainerProperties(topic)
                : new ContainerProperties(new TopicPartitionOffset(
                        topic, Integer.parseInt(partition), TopicPartitionOffset.SeekPosition.END));
    }

    /** Sends all requests, then waits for their answers: Spring tells by kafka_correlationId which is whose. */
    private static void exchange(ReplyingKafkaTemplate<String, String, String> template, String requests) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).lines().toList();
        Map<RequestReplyFuture<String, String, String>, String> sent = new LinkedHashMap<>();
        for (String body : lines) {
            sent.put(template.sendAndReceive(new ProducerRecord<>(requests, body)), body);
        }
        for (var entry : sent.entrySet()) {
            try {
                ConsumerRecord<String, String> answer = entry.getKey().get();
                System.out.println(status(answer) + "\t" + answer.partition() + "\t" + answer.value());
            } catch (ExecutionException failure) {
                if (!(failure.getCause() instanceof KafkaReplyTimeoutException)) {
                    throw failure;
                }
                System.out.println("TIMEOUT\t\t" + entry.getValue());
            }
        }
    }

    /** OK or the error code; errors come as answers, with the reason in the body. */
    private static String status(ConsumerRecord<String, String> answer) {
        Header status = answer.headers().lastHeader("status");
        return status == null ? "no status" : new String(status.value(), StandardCharsets.UTF_8);
    }
}
