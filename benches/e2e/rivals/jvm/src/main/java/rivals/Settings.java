package rivals;

import java.util.Map;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.producer.ProducerConfig;

/** What both JVM rivals ask of the Kafka clients, and why. */
final class Settings {
    /** Bytes of a producer's batch: at the default of 16 KiB a poll's answers would make a dozen requests. */
    static final int BATCH_SIZE = 131_072;

    private Settings() {}

    /** LINGER_MS, if the environment has it. */
    static int linger(int otherwise) {
        return Integer.parseInt(System.getenv().getOrDefault("LINGER_MS", String.valueOf(otherwise)));
    }

    static Map<String, Object> consumer(String brokers, String group) {
        return Map.of(
                CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG, brokers,
                CommonClientConfigs.GROUP_ID_CONFIG, group,
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false,
                ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG, CooperativeStickyAssignor.class.getName(),
                // Bigger polls make bigger batches; beyond this nothing is gained.
                ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 2_000,
                // librdkafka does not check them either, unless told to.
                ConsumerConfig.CHECK_CRCS_CONFIG, false,
                CommonClientConfigs.METRIC_REPORTER_CLASSES_CONFIG, "",
                CommonClientConfigs.ENABLE_METRICS_PUSH_CONFIG, false);
    }

    static Map<String, Object> producer(String brokers) {
        return Map.of(
                CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG, brokers,
                ProducerConfig.ACKS_CONFIG, "all",
                ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true,
                ProducerConfig.LINGER_MS_CONFIG, linger(0),
                ProducerConfig.BATCH_SIZE_CONFIG, BATCH_SIZE,
                CommonClientConfigs.METRIC_REPORTER_CLASSES_CONFIG, "",
                CommonClientConfigs.ENABLE_METRICS_PUSH_CONFIG, false);
    }
}
