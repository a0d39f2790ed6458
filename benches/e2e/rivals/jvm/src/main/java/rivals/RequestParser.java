package rivals;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;

/**
 * Reads an OIP v2 request with Jackson's streaming parser, its numbers straight into arrays, with no object per value.
 *
 * <p>Data must be stated after the name of its input, as every client does; nested data is taken as flat.
 */
final class RequestParser {
    /** What an input holds, by the model. */
    enum Kind {
        FP32,
        INT64,
        BYTES
    }

    private final JsonFactory factory =
            JsonFactory.builder().enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER).build();
    private final List<String> names;
    private final Kind[] kinds;

    RequestParser(List<String> names, Kind[] kinds) {
        this.names = names;
        this.kinds = kinds;
    }

    /** Reads {@code length} bytes from {@code offset} into {@code request}; throws on what is no request for this model. */
    void read(byte[] bytes, int offset, int length, Request request) throws IOException {
        request.clear();
        try (JsonParser parser = factory.createParser(bytes, offset, length)) {
            expect(parser, parser.nextToken(), JsonToken.START_OBJECT);
            String field;
            while ((field = parser.nextFieldName()) != null) {
                switch (field) {
                    case "id" -> request.id = parser.nextTextValue();
                    case "inputs" -> inputs(parser, request);
                    default -> skip(parser);
                }
            }
        }
        if (request.id == null) {
            throw new IllegalArgumentException("the request has no id");
        }
        for (int nth = 0; nth < kinds.length; nth++) {
            request.inputs[nth].check(names.get(nth));
        }
    }

    private void inputs(JsonParser parser, Request request) throws IOException {
        expect(parser, parser.nextToken(), JsonToken.START_ARRAY);
        while (parser.nextToken() == JsonToken.START_OBJECT) {
            int nth = -1;
            String field;
            while ((field = parser.nextFieldName()) != null) {
                switch (field) {
                    case "name" -> nth = named(parser.nextTextValue());
                    case "shape" -> shape(parser, request.inputs[known(nth)]);
                    case "data" -> data(parser, request.inputs[known(nth)], kinds[nth]);
                    default -> skip(parser);
                }
            }
        }
    }

    private int named(String name) {
        int nth = names.indexOf(name);
        if (nth < 0) {
            throw new IllegalArgumentException("the model has no input " + name + " but " + names);
        }
        return nth;
    }

    private static int known(int nth) {
        if (nth < 0) {
            throw new IllegalArgumentException("an input's name must come before its shape and data");
        }
        return nth;
    }

    private static void shape(JsonParser parser, Request.Input input) throws IOException {
        expect(parser, parser.nextToken(), JsonToken.START_ARRAY);
        int rank = 0;
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            input.shape[rank++] = parser.getLongValue();
        }
        input.rank = rank;
    }

    private static void data(JsonParser parser, Request.Input input, Kind kind) throws IOException {
        expect(parser, parser.nextToken(), JsonToken.START_ARRAY);
        input.count = switch (kind) {
            case FP32 -> floats(parser, input);
            case INT64 -> longs(parser, input);
            case BYTES -> texts(parser, input);
        };
    }

    private static int floats(JsonParser parser, Request.Input input) throws IOException {
        float[] floats = input.floats;
        int count = 0;
        for (int depth = 1; depth > 0; ) {
            switch (parser.nextToken()) {
                case START_ARRAY -> depth++;
                case END_ARRAY -> depth--;
                default -> {
                    if (count == floats.length) {
                        input.floats = floats = Arrays.copyOf(floats, 2 * count);
                    }
                    floats[count++] = parser.getFloatValue();
                }
            }
        }
        return count;
    }

    private static int longs(JsonParser parser, Request.Input input) throws IOException {
        long[] longs = input.longs;
        int count = 0;
        for (int depth = 1; depth > 0; ) {
            switch (parser.nextToken()) {
                case START_ARRAY -> depth++;
                case END_ARRAY -> depth--;
                default -> {
                    if (count == longs.length) {
                        input.longs = longs = Arrays.copyOf(longs, 2 * count);
                    }
                    longs[count++] = parser.getLongValue();
                }
            }
        }
        return count;
    }

    private static int texts(JsonParser parser, Request.Input input) throws IOException {
        String[] texts = input.texts;
        int count = 0;
        for (int depth = 1; depth > 0; ) {
            switch (parser.nextToken()) {
                case START_ARRAY -> depth++;
                case END_ARRAY -> depth--;
                default -> {
                    if (count == texts.length) {
                        input.texts = texts = Arrays.copyOf(texts, 2 * count);
                    }
                    texts[count++] = parser.getText();
                }
            }
        }
        return count;
    }

    private static void skip(JsonParser parser) throws IOException {
        parser.nextToken();
        parser.skipChildren();
    }

    private static void expect(JsonParser parser, JsonToken came, JsonToken expected) throws IOException {
        if (came != expected) {
            throw new IllegalArgumentException("expected " + expected + ", found " + came);
        }
    }
}
