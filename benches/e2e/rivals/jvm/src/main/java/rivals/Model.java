package rivals;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxTensorLike;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/** An ONNX Runtime session, one batch of requests in, one answer for each out. */
final class Model {
    private static final byte[] OUTPUTS = AnswerWriter.utf8(",\"outputs\":[");

    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;
    private final List<String> inputs;
    private final RequestParser.Kind[] kinds;
    private final boolean isBatchable;
    private final byte[] head;
    private final AnswerWriter writer = new AnswerWriter();

    /** Opens {@code FOLDER/model.onnx}, where the folder is called {@code …/MODEL/VERSION}. */
    Model(Path folder) throws OrtException {
        OrtSession.SessionOptions options = new OrtSession.SessionOptions();
        options.setIntraOpNumThreads(1);
        options.setInterOpNumThreads(1);
        options.addConfigEntry("session.intra_op.allow_spinning", "0");
        environment.setTelemetry(false);
        session = environment.createSession(folder.resolve("model.onnx").toString(), options);
        inputs = List.copyOf(session.getInputNames());
        kinds = new RequestParser.Kind[inputs.size()];
        boolean isDynamic = true;
        for (int nth = 0; nth < kinds.length; nth++) {
            TensorInfo info = tensorInfo(session.getInputInfo().get(inputs.get(nth)));
            kinds[nth] = kind(info.type);
            isDynamic &= info.getShape().length > 0 && info.getShape()[0] < 0;
        }
        isBatchable = isDynamic;
        AnswerWriter names = new AnswerWriter();
        names.raw(AnswerWriter.utf8("{\"model_name\":")).text(folder.getParent().getFileName().toString());
        names.raw(AnswerWriter.utf8(",\"model_version\":")).text(folder.getFileName().toString());
        head = names.raw(AnswerWriter.utf8(",\"id\":")).finish();
    }

    RequestParser parser() {
        return new RequestParser(inputs, kinds);
    }

    Request request() {
        return new Request(kinds.length);
    }

    Batch batch(Request first) {
        return new Batch(first, kinds);
    }

    /** Whether several requests may share a run: every input's first axis is dynamic. */
    boolean isBatchable() {
        return isBatchable;
    }

    /** Runs the batch once and hands each answer to {@code answered} with its id. */
    void predict(Batch batch, BiConsumer<String, byte[]> answered) throws OrtException {
        Map<String, OnnxTensorLike> feeds = new LinkedHashMap<>();
        try {
            for (int nth = 0; nth < kinds.length; nth++) {
                feeds.put(inputs.get(nth), batch.tensor(environment, nth));
            }
            try (OrtSession.Result result = session.run(feeds)) {
                answer(batch, result, answered);
            }
        } finally {
            feeds.values().forEach(OnnxTensorLike::close);
        }
    }

    private void answer(Batch batch, OrtSession.Result result, BiConsumer<String, byte[]> answered) throws OrtException {
        List<Output> outputs = new ArrayList<>();
        for (Map.Entry<String, OnnxValue> output : result) {
            outputs.add(new Output(output.getKey(), (OnnxTensor) output.getValue(), batch));
        }
        for (int nth = 0; nth < batch.ids.size(); nth++) {
            String id = batch.ids.get(nth);
            writer.start().raw(head).text(id);
            writer.raw(OUTPUTS);
            for (int which = 0; which < outputs.size(); which++) {
                if (which > 0) {
                    writer.raw(',');
                }
                outputs.get(which).write(writer, nth);
            }
            answered.accept(id, writer.raw(']').raw('}').finish());
        }
    }

    /** The answer to what could not be answered. */
    byte[] refusal(String id, Exception error) {
        writer.start().raw(AnswerWriter.utf8("{\"id\":")).text(id);
        return writer.raw(AnswerWriter.utf8(",\"error\":")).text(String.valueOf(error.getMessage())).raw('}').finish();
    }

    private static TensorInfo tensorInfo(NodeInfo node) {
        if (node.getInfo() instanceof TensorInfo info) {
            return info;
        }
        throw new IllegalArgumentException(node.getName() + " is no tensor: this worker serves tensors only");
    }

    private static RequestParser.Kind kind(OnnxJavaType type) {
        return switch (type) {
            case FLOAT -> RequestParser.Kind.FP32;
            case INT64 -> RequestParser.Kind.INT64;
            case STRING -> RequestParser.Kind.BYTES;
            default -> throw new IllegalArgumentException("this worker serves FP32, INT64 and BYTES, not " + type);
        };
    }

    /** One output of a run, and the text before its data, which is the same for every request of the batch. */
    private static final class Output {
        private final byte[] before;
        private final int each;
        private FloatBuffer floats;
        private LongBuffer longs;
        private String[] texts;

        Output(String name, OnnxTensor tensor, Batch batch) throws OrtException {
            long[] shape = tensor.getInfo().getShape();
            int rows = batch.rows * batch.ids.size();
            if (shape.length == 0 || shape[0] != rows) {
                throw new IllegalArgumentException("output " + name + " has another number of rows than the batch's " + rows);
            }
            long values = 1;
            for (long axis : shape) {
                values *= axis;
            }
            each = (int) (values / batch.ids.size());
            switch (kind(tensor.getInfo().type)) {
                case FP32 -> floats = tensor.getFloatBuffer();
                case INT64 -> longs = tensor.getLongBuffer();
                case BYTES -> texts = flat(tensor.getValue(), (int) values);
            }
            before = before(name, shape, batch.rows, kind(tensor.getInfo().type));
        }

        private static byte[] before(String name, long[] shape, int rows, RequestParser.Kind kind) {
            AnswerWriter text = new AnswerWriter().raw(AnswerWriter.utf8("{\"name\":")).text(name);
            text.raw(AnswerWriter.utf8(",\"shape\":[")).number(rows);
            for (int axis = 1; axis < shape.length; axis++) {
                text.raw(',').number(shape[axis]);
            }
            text.raw(AnswerWriter.utf8("],\"datatype\":\"" + kind + "\",\"data\":["));
            return text.finish();
        }

        private static String[] flat(Object value, int values) {
            List<String> texts = new ArrayList<>(values);
            collect(value, texts);
            return texts.toArray(new String[0]);
        }

        private static void collect(Object value, List<String> texts) {
            if (value instanceof Object[] several) {
                for (Object one : several) {
                    collect(one, texts);
                }
            } else {
                texts.add((String) value);
            }
        }

        /** This output of one request. */
        void write(AnswerWriter writer, int request) {
            writer.raw(before);
            int start = request * each;
            for (int at = start; at < start + each; at++) {
                if (at > start) {
                    writer.raw(',');
                }
                if (floats != null) {
                    writer.number(floats.get(at));
                } else if (longs != null) {
                    writer.number(longs.get(at));
                } else {
                    writer.text(texts[at]);
                }
            }
            writer.raw(']').raw('}');
        }
    }
}
