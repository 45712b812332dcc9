"""Decoders are confined, ended when they take too long, and started again; the server never sees more than pixels."""

import io
import os
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.serving import decoder_process
from benchmark.serving.decoder_process import ANSWER
from benchmark.serving.decoding import Decoder
from benchmark.serving.limits import Limits, RefusedError
from collector.images.decode import decode
from tests.benchmark.serving.conftest import LIMITS, gps, photo


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(LIMITS)
    yield decoder
    decoder.close()


def test_the_pixels_that_predict_sees(decoder: Decoder) -> None:
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        data = photo(form=form, size=(700, 500))
        for side in (None, 64):
            assert np.array_equal(np.asarray(decoder.decode(data, side)), np.asarray(decode(data, side)))


def test_nothing_but_pixels(decoder: Decoder) -> None:
    image = decoder.decode(photo(exif=gps(), comment=b"SECRET"), None)
    assert image.mode == "RGB"
    assert image.info == {}
    assert not image.getexif()


def test_a_decoder_that_was_killed_starts_again(decoder: Decoder) -> None:
    decoder.decode(photo(), None)
    decoder.process.kill()
    decoder.process.wait()
    assert decoder.decode(photo(), None).size == (160, 120)


def test_a_decoder_that_hangs_is_ended(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder.decode(photo(), None)
    process = decoder.process
    os.kill(process.pid, signal.SIGSTOP)
    monkeypatch.setattr(decoder, "limits", replace(LIMITS, decoding=0.05))
    with pytest.raises(RefusedError, match=r"more than 0\.05 seconds") as refused:
        decoder.decode(photo(), None)
    assert refused.value.code == "too-costly"
    assert process.returncode == -signal.SIGKILL
    monkeypatch.undo()
    assert decoder.decode(photo(), None).size == (160, 120)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        ANSWER.pack(0, 2**32 - 1, 2**32 - 1),
        ANSWER.pack(0, 0, 0),
        ANSWER.pack(2, 0, 0),
        ANSWER.pack(1, 2**32 - 1, 0),
        ANSWER.pack(1, 10, 0) + b'["x", "y"]',
        ANSWER.pack(1, 3, 0) + b"{]}",
        ANSWER.pack(1, 2, 0) + b"17",
    ],
    ids=[
        "nothing",
        "too many pixels",
        "no pixels",
        "another kind",
        "a long reason",
        "an unknown code",
        "no JSON",
        "no list",
    ],
)
def test_a_decoder_is_not_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: bytes) -> None:
    fake = tmp_path / "fake_decoder.py"
    fake.write_text(
        f"import sys\nsys.stdout.buffer.write({b't15' + answer!r})\nsys.stdout.flush()\nsys.stdin.buffer.read(16)\n"
    )
    monkeypatch.setattr(decoder_process, "__name__", "fake_decoder")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    decoder = Decoder(LIMITS)
    with pytest.raises(RefusedError) as refused:
        decoder.decode(photo(), None)
    assert refused.value.code == "too-costly"
    decoder.close()


def test_a_decoder_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_process, "__name__", "no_such_module")
    decoder = Decoder(LIMITS)
    with pytest.raises(RefusedError, match="does not start") as refused:
        decoder.decode(photo(), None)
    assert refused.value.status == 503
    decoder.close()


def test_memory_is_bounded() -> None:
    decoder = Decoder(Limits(memory=40_000_000))
    file = io.BytesIO()
    Image.new("RGBA", (4000, 4000)).save(file, "PNG")
    with pytest.raises(RefusedError, match=r"memory|too much") as refused:
        decoder.decode(file.getvalue(), None)
    assert refused.value.code == "too-costly"
    assert decoder.decode(photo(), None).size == (160, 120)
    decoder.close()


@pytest.mark.skipif(not Path("/proc/self/limits").is_file(), reason="needs Linux's /proc")
def test_a_decoder_can_do_little(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLICKR_API_KEY", "SECRET")
    own = Decoder(LIMITS)
    own.prepare()
    process = Path("/proc", str(own.process.pid))
    assert b"SECRET" not in (process / "environ").read_bytes()
    limits = {line[:25].strip(): line[25:].split()[0] for line in (process / "limits").read_text().splitlines()}
    assert limits["Max file size"] == limits["Max core file size"] == "0"
    assert limits["Max address space"] != "unlimited"
    own.close()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


def test_a_closed_decoder_stays_closed() -> None:
    decoder = Decoder(LIMITS)
    decoder.close()
    with pytest.raises(RefusedError):
        decoder.decode(photo(), None)
    assert decoder.process.poll() is not None
