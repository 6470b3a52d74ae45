"""Small clips for the tests: any container and codec, with time stamps, sound and colours of one's choice."""

from fractions import Fraction

import av
import numpy as np
from PIL import Image

from tergan_hf.model.video_tergan import map_video, read_frames


SIZE = (64, 48)
TONE = 440  # Hz


def write_clip(path, images, rate=10, sound=None, pixel_aspect=1):
    """An H.264 clip; `sound` names a codec for a second of tone."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *images[0].size, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(pixel_aspect)
        tone = container.add_stream(sound, rate=16_000) if sound else None
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode(None))
        if tone:
            container.mux(tone.encode(tone_of(16_000, 1)) + tone.encode(None))
    return path


def make_clip(
    path, frames=20, size=SIZE, rate=25, container=None, codec="libx264", pixel_format="yuv420p", options=None,
    start=0, images=None, sound=None, sound_rate=48_000, sound_start=0, layout="mono", pixel_aspect=None, matrix=None,
    muxer=None, **tags,
):  # fmt: skip
    """
    A clip whose frames grow brighter, or show `images`.

    Args:
        start, sound_start: of the streams, in seconds.
        matrix: (a, b, c, d) of the display matrix.
        muxer: options of the container.
        tags: `colorspace`, `color_primaries`, `color_trc`, `color_range` by number.
    """
    images = images or [Image.new("RGB", size, (4 * number % 256,) * 3) for number in range(frames)]
    with av.open(path, "w", format=container, container_options=muxer or {}) as file:
        picture = file.add_stream(codec, rate=rate, options=options or {})
        picture.width, picture.height = size
        picture.pix_fmt = pixel_format
        for name, value in tags.items():
            setattr(picture.codec_context, name, value)
        if pixel_aspect:
            picture.codec_context.sample_aspect_ratio = Fraction(pixel_aspect)
        if matrix:
            a, b, c, d = (round(value * 65536) for value in matrix)
            picture.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        tone = file.add_stream(sound, rate=sound_rate, layout=layout) if sound else None
        packets = shifted(encode_pictures(picture, images, rate, tags), start)
        if tone:
            seconds = Fraction(len(images), 1) / rate
            packets += shifted(tone.encode(tone_of(sound_rate, seconds, layout)) + tone.encode(None), sound_start)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            file.mux(packet)
    return path


def encode_pictures(stream, images, rate=25, tags=None) -> list:
    """Packets of images, or of frames."""
    packets, tags = [], tags or {}
    for number, image in enumerate(images):
        frame = image
        if isinstance(image, Image.Image):
            matrix = {1: "ITU709", 7: "SMPTE240M", 9: "BT2020"}.get(tags.get("colorspace"), "ITU601")
            frame = av.VideoFrame.from_image(image).reformat(
                format=stream.pix_fmt, dst_colorspace=matrix, dst_color_range=tags.get("color_range")
            )
        frame.pts, frame.time_base = number, 1 / Fraction(rate)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def tone_of(rate: int, seconds, layout: str = "mono") -> av.AudioFrame:
    """A tone, in all channels of a layout."""
    wave = np.sin(2 * np.pi * TONE * np.arange(int(rate * seconds)) / rate) * 8000
    channels = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame.from_ndarray(wave.astype(np.int16).repeat(channels)[None], format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def shifted(packets: list, seconds) -> list:
    """Packets, later by some seconds."""
    for packet in packets:
        ticks = round(Fraction(seconds) / packet.time_base)
        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
    return packets


def convert(clip, output, **settings):
    """`map_video` that changes nothing."""
    return map_video(clip, output, lambda frame, interval: frame, progress=False, **settings)


def read_clip(path) -> list[Image.Image]:
    """The frames of a plain clip, by PyAV alone."""
    with av.open(str(path)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def times_of(path, kind="video") -> list[float]:
    """When the frames of a stream begin, in seconds."""
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(**{kind: 0})]


def images_of(clip, **settings) -> list[Image.Image]:
    """The frames of a clip as the library reads them."""
    return [image for _, _, image in read_frames(clip, progress=False, **settings)]


def tone_in(path) -> float:
    """The frequency that is strongest in a clip's sound, in Hz."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        wave = np.concatenate([frame.to_ndarray().reshape(len(frame.planes), -1)[0] for frame in frames]).astype(float)
        rate = frames[0].sample_rate
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(spectrum.argmax() * rate / len(wave))
