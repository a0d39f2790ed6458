package rivals;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Requests of equal shapes, the rows of each input one after another where the session reads them.
 *
 * <p>Buffers are direct, so that a tensor over them copies nothing, and are kept for the next batch.
 */
final class Batch {
    final List<String> ids = new ArrayList<>();
    /** Rows of each request. */
    final int rows;

    private final long[][] shapes;
    private final Column[] columns;

    Batch(Request first, RequestParser.Kind[] kinds) {
        rows = first.rows();
        shapes = new long[kinds.length][];
        columns = new Column[kinds.length];
        for (int nth = 0; nth < kinds.length; nth++) {
            shapes[nth] = Arrays.copyOf(first.inputs[nth].shape, first.inputs[nth].rank);
            columns[nth] = switch (kinds[nth]) {
                case FP32 -> new Floats();
                case INT64 -> new Longs();
                case BYTES -> new Texts();
            };
        }
    }

    boolean fits(Request request) {
        for (int nth = 0; nth < shapes.length; nth++) {
            long[] shape = shapes[nth];
            Request.Input input = request.inputs[nth];
            if (!Arrays.equals(shape, 0, shape.length, input.shape, 0, input.rank)) {
                return false;
            }
        }
        return true;
    }

    void add(Request request) {
        ids.add(request.id);
        for (int nth = 0; nth < columns.length; nth++) {
            columns[nth].add(request.inputs[nth]);
        }
    }

    void clear() {
        ids.clear();
        for (Column column : columns) {
            column.clear();
        }
    }

    /** A tensor over input {@code nth} of all requests; the caller closes it. */
    OnnxTensor tensor(OrtEnvironment environment, int nth) throws OrtException {
        long[] shape = shapes[nth].clone();
        shape[0] *= ids.size();
        return columns[nth].tensor(environment, shape);
    }

    private interface Column {
        void add(Request.Input input);

        OnnxTensor tensor(OrtEnvironment environment, long[] shape) throws OrtException;

        void clear();
    }

    private static ByteBuffer direct(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    }

    private static final class Floats implements Column {
        private FloatBuffer values = direct(Float.BYTES * 1024).asFloatBuffer();

        @Override
        public void add(Request.Input input) {
            if (values.remaining() < input.count) {
                int capacity = Math.max(2 * values.capacity(), values.position() + input.count);
                values = direct(Float.BYTES * capacity).asFloatBuffer().put(values.flip());
            }
            values.put(input.floats, 0, input.count);
        }

        @Override
        public OnnxTensor tensor(OrtEnvironment environment, long[] shape) throws OrtException {
            return OnnxTensor.createTensor(environment, values.slice(0, values.position()), shape);
        }

        @Override
        public void clear() {
            values.clear();
        }
    }

    private static final class Longs implements Column {
        private LongBuffer values = direct(Long.BYTES * 1024).asLongBuffer();

        @Override
        public void add(Request.Input input) {
            if (values.remaining() < input.count) {
                int capacity = Math.max(2 * values.capacity(), values.position() + input.count);
                values = direct(Long.BYTES * capacity).asLongBuffer().put(values.flip());
            }
            values.put(input.longs, 0, input.count);
        }

        @Override
        public OnnxTensor tensor(OrtEnvironment environment, long[] shape) throws OrtException {
            return OnnxTensor.createTensor(environment, values.slice(0, values.position()), shape);
        }

        @Override
        public void clear() {
            values.clear();
        }
    }

    private static final class Texts implements Column {
        private final List<String> values = new ArrayList<>();

        @Override
        public void add(Request.Input input) {
            values.addAll(Arrays.asList(input.texts).subList(0, input.count));
        }

        @Override
        public OnnxTensor tensor(OrtEnvironment environment, long[] shape) throws OrtException {
            return OnnxTensor.createTensor(environment, values.toArray(new String[0]), shape);
        }

        @Override
        public void clear() {
            values.clear();
        }
    }
}
