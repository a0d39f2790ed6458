package rivals;

import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * The Kafka Streams rival: record by record, one run of the session for each, as its users write it.
 *
 * <p>{@code StreamsWorker BROKERS GROUP REQUESTS_TOPIC RESULTS_TOPIC MODEL_FOLDER}; runs until it is killed. The application
 * id is the group. Answers keep the key of their request, which is the id.
 *
 * <p>Guarantee: at least once, by Kafka Streams itself: it flushes its producer before it commits.
 */
public final class StreamsWorker {
    private StreamsWorker() {}

    public static void main(String[] arguments) throws Exception {
        Answers answers = new Answers(new Model(Path.of(arguments[4])));
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(arguments[2], Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .mapValues(answers::answer)
                .to(arguments[3], Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings(arguments[0], arguments[1]));
        streams.setUncaughtExceptionHandler(error -> StreamThreadExceptionResponse.SHUTDOWN_CLIENT);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) {
                Runtime.getRuntime().halt(1);
            }
        });
        streams.start();
    }

    private static Properties settings(String brokers, String group) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        // One thread, one session: another would share the same cores.
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.CHECK_CRCS_CONFIG), false);
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        // Kafka's own default; that of Kafka Streams, 100 ms, is for throughput alone. Without any, each answer wakes the sender.
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), Settings.linger(5));
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), Settings.BATCH_SIZE);
        settings.put(CommonClientConfigs.METRIC_REPORTER_CLASSES_CONFIG, "");
        settings.put(CommonClientConfigs.ENABLE_METRICS_PUSH_CONFIG, false);
        return settings;
    }

    /** The function of the stream; one thread calls it, so that parser, buffers and writer are used again. */
    private static final class Answers {
        private final Model model;
        private final RequestParser parser;
        private final Request request;
        private Batch batch;
        private byte[] answer;

        Answers(Model model) {
            this.model = model;
            parser = model.parser();
            request = model.request();
        }

        byte[] answer(byte[] key, byte[] value) {
            try {
                parser.read(value, 0, value.length, request);
                if (batch == null || !batch.fits(request)) {
                    batch = model.batch(request);
                }
                batch.clear();
                batch.add(request);
                model.predict(batch, (id, answer) -> this.answer = answer);
                return answer;
            } catch (IOException | OrtException | RuntimeException error) {
                return model.refusal(key == null ? "" : new String(key), error);
            }
        }
    }
}
