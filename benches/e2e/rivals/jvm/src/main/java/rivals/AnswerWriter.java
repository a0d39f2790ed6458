package rivals;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import com.fasterxml.jackson.core.io.NumberOutput;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Writes JSON into one array that is used again; each answer is copied out at its exact length.
 *
 * <p>Floats by Jackson's Schubfach writer: the shortest text that reads back as the same float, which the JDK has from 19 on.
 */
final class AnswerWriter {
    private static final JsonStringEncoder ESCAPES = JsonStringEncoder.getInstance();

    private byte[] bytes = new byte[4096];
    private int length;

    AnswerWriter start() {
        length = 0;
        return this;
    }

    byte[] finish() {
        return Arrays.copyOf(bytes, length);
    }

    AnswerWriter raw(byte[] text) {
        reserve(text.length);
        System.arraycopy(text, 0, bytes, length, text.length);
        length += text.length;
        return this;
    }

    AnswerWriter raw(char ascii) {
        reserve(1);
        bytes[length++] = (byte) ascii;
        return this;
    }

    AnswerWriter text(String text) {
        raw('"');
        if (isPlain(text)) {
            ascii(text);
        } else {
            raw(ESCAPES.quoteAsUTF8(text));
        }
        return raw('"');
    }

    AnswerWriter number(float value) {
        if (Float.isFinite(value)) {
            ascii(NumberOutput.toString(value, true));
        } else {
            text(Float.toString(value));
        }
        return this;
    }

    AnswerWriter number(long value) {
        reserve(20);
        length = NumberOutput.outputLong(value, bytes, length);
        return this;
    }

    @SuppressWarnings("deprecation") // of all ways from ASCII text to bytes the one without a copy between
    private void ascii(String text) {
        reserve(text.length());
        text.getBytes(0, text.length(), bytes, length);
        length += text.length();
    }

    private static boolean isPlain(String text) {
        for (int at = 0; at < text.length(); at++) {
            char c = text.charAt(at);
            if (c < ' ' || c > '~' || c == '"' || c == '\\') {
                return false;
            }
        }
        return true;
    }

    private void reserve(int more) {
        if (bytes.length - length < more) {
            bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, length + more));
        }
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
