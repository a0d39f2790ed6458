package rivals;

import java.util.Arrays;

/**
 * One OIP v2 request as it was read: the id and, for each input of the model in the model's order, shape and flat data.
 *
 * <p>One instance is read into again and again; its arrays grow to the biggest request that came.
 */
final class Request {
    String id;
    final Input[] inputs;

    Request(int inputs) {
        this.inputs = new Input[inputs];
        Arrays.setAll(this.inputs, nth -> new Input());
    }

    /** Rows along the first axis. */
    int rows() {
        return (int) inputs[0].shape[0];
    }

    void clear() {
        id = null;
        for (Input input : inputs) {
            input.rank = -1;
            input.count = -1;
        }
    }

    static final class Input {
        long[] shape = new long[8];
        /** -1: no shape was read. */
        int rank;
        /** Which of the arrays is meant says the model. */
        float[] floats = new float[64];
        long[] longs = new long[64];
        String[] texts = new String[8];
        /** Values that were read; -1: no data. */
        int count;

        void check(String name) {
            if (rank < 1 || count < 0) {
                throw new IllegalArgumentException("input " + name + " needs a shape of at least one axis, and data");
            }
            long expected = 1;
            for (int axis = 0; axis < rank; axis++) {
                expected *= shape[axis];
            }
            if (expected != count) {
                throw new IllegalArgumentException(
                        "input " + name + ": its shape asks for " + expected + " values, " + count + " came");
            }
        }
    }
}
