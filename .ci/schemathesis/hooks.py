"""What JSON Schema can't say: which text is a picture."""

import base64
import struct
import zlib

import schemathesis
from hypothesis import strategies as st


def png(colour):
    """A small picture of one colour, as a PNG file."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * 8) * 8
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


FILES = [png(colour) for colour in [(220, 20, 60), (0, 90, 200), (255, 255, 255)]]
TEXTS = [prefix + base64.b64encode(file).decode() for file in FILES for prefix in ["", "data:image/png;base64,"]]

schemathesis.openapi.format("picture", st.sampled_from(TEXTS))
schemathesis.openapi.format("binary", st.sampled_from(FILES))


@schemathesis.hook
def filter_case(context, case):
    """In a form everything is text: a number in place of a sentence arrives as one, a sentence in place of a list as
    a list of one, 1 is as good as true, what is empty is not there, and nothing was wrong."""
    if case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return True
    switches = [case.body[name] for name in ["stream", "trace"] if name in case.body]
    if any(str(switch).strip().lower() in ["0", "1", "true", "false"] for switch in switches if not isinstance(switch, bool)):
        return False
    if any(isinstance(value, str) and not value.strip() for value in case.body.values()):
        return False
    sentences = [case.body[name] for name in ["hypothesis", "premise"] if name in case.body]
    several = case.body.get("hypotheses", [])
    return isinstance(several, list) and all(isinstance(text, str) for text in sentences + several)
