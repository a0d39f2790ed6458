package rivals;

import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.ByteBufferDeserializer;

/**
 * The batching JVM rival: everything that one poll returns goes through the session in one run for each set of shapes.
 *
 * <p>{@code BatchingWorker BROKERS GROUP REQUESTS_TOPIC RESULTS_TOPIC MODEL_FOLDER}; runs until it is killed.
 *
 * <p>Guarantee: at least once. Positions are committed once a second, after a flush that saw every answer acknowledged by all
 * in-sync replicas; if one was not, the process ends without a commit.
 */
public final class BatchingWorker implements ConsumerRebalanceListener {
    private static final long COMMIT_NANOS = 1_000_000_000L;
    /** A run of many thousand rows costs more by the row; big models want fewer, and the harness says so. */
    private static final int MAX_BATCH_ROWS =
            Integer.parseInt(System.getenv().getOrDefault("MAX_BATCH_ROWS", "2048"));
    /** Shapes that are remembered with their buffers. */
    private static final int MAX_SHAPES = 64;

    private final Model model;
    private final RequestParser parser;
    private final Request request;
    private final String results;
    private final KafkaConsumer<ByteBuffer, ByteBuffer> consumer;
    private final KafkaProducer<byte[], byte[]> producer;
    private final List<Batch> batches = new ArrayList<>();
    private volatile Exception undelivered;
    private final Callback delivered = (metadata, error) -> {
        if (error != null) {
            undelivered = error;
        }
    };

    private BatchingWorker(String brokers, String group, String results, Path folder) throws OrtException {
        model = new Model(folder);
        parser = model.parser();
        request = model.request();
        this.results = results;
        // Keys and values are read where the fetch put them.
        consumer = new KafkaConsumer<>(
                Settings.consumer(brokers, group), new ByteBufferDeserializer(), new ByteBufferDeserializer());
        producer = new KafkaProducer<>(
                Settings.producer(brokers), new ByteArraySerializer(), new ByteArraySerializer());
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[4]);
        new BatchingWorker(arguments[0], arguments[1], arguments[3], folder).run(arguments[2]);
    }

    private void run(String requests) throws Exception {
        consumer.subscribe(List.of(requests), this);
        long due = System.nanoTime() + COMMIT_NANOS;
        boolean isAnyUncommitted = false;
        while (true) {
            ConsumerRecords<ByteBuffer, ByteBuffer> records = consumer.poll(Duration.ofSeconds(1));
            for (ConsumerRecord<ByteBuffer, ByteBuffer> record : records) {
                take(record);
            }
            for (Batch batch : batches) {
                predict(batch);
            }
            isAnyUncommitted |= !records.isEmpty();
            if (System.nanoTime() >= due) {
                if (isAnyUncommitted) {
                    commit();
                }
                isAnyUncommitted = false;
                due = System.nanoTime() + COMMIT_NANOS;
            }
        }
    }

    private void take(ConsumerRecord<ByteBuffer, ByteBuffer> record) {
        ByteBuffer value = record.value();
        try {
            parser.read(value.array(), value.arrayOffset() + value.position(), value.remaining(), request);
        } catch (IOException | RuntimeException error) {
            String id = record.key() == null ? "" : StandardCharsets.UTF_8.decode(record.key().duplicate()).toString();
            send(id, model.refusal(id, error));
            return;
        }
        Batch batch = batchOf(request);
        if ((batch.ids.size() + 1) * batch.rows > MAX_BATCH_ROWS || !model.isBatchable()) {
            predict(batch);
        }
        batch.add(request);
    }

    private Batch batchOf(Request request) {
        for (Batch batch : batches) {
            if (batch.fits(request)) {
                return batch;
            }
        }
        if (batches.size() == MAX_SHAPES) {
            batches.forEach(this::predict);
            batches.clear();
        }
        Batch batch = model.batch(request);
        batches.add(batch);
        return batch;
    }

    private void predict(Batch batch) {
        if (batch.ids.isEmpty()) {
            return;
        }
        try {
            model.predict(batch, this::send);
        } catch (OrtException | RuntimeException error) {
            // All have the shapes of the first: what fails for one fails for all.
            batch.ids.forEach(id -> send(id, model.refusal(id, error)));
        }
        batch.clear();
    }

    private void send(String id, byte[] answer) {
        producer.send(new ProducerRecord<>(results, AnswerWriter.utf8(id), answer), delivered);
    }

    /** Commits what was consumed; at this point all of it has been answered, since poll alone hands records over. */
    private void commit() {
        producer.flush();
        if (undelivered != null) {
            throw new IllegalStateException("an answer was not delivered; nothing is committed, start again", undelivered);
        }
        consumer.commitSync();
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit();
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        // Their next owner answers again what was not committed.
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}
}
