"""A small event file written by TensorBoard's own classes, for the lab's writer to match byte for byte: writes
`testdata/tensorboard.hex`, and reads it back with the EventAccumulator.

Run as `python testdata/generate/lab_events.py`; needs tensorboard 2.21.0. Given directories that `thalweg export --format
tensorboard` wrote, it reads those back instead and prints what they hold.
"""

import io
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = Path(__file__).resolve().parent.parent / "tensorboard.hex"
Value = summary_pb2.Summary.Value


def event(step, seconds, value):
    return event_pb2.Event(wall_time=seconds, step=step, summary=summary_pb2.Summary(value=[value]))


def hyper_parameters():
    content = plugin_data_pb2.HParamsPluginData()
    content.session_start_info.group_name = "g"
    content.session_start_info.hparams["lr"].number_value = 0.01
    metadata = summary_pb2.SummaryMetadata()
    metadata.plugin_data.plugin_name = "hparams"
    metadata.plugin_data.content = content.SerializeToString()
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape=tensor_shape_pb2.TensorShapeProto())
    return Value(tag="_hparams_/session_start_info", metadata=metadata, tensor=tensor)


def histogram():
    counts = [0.0] * 30
    limits = [1.0 + i * (3.0 / 30) for i in range(1, 31)]
    counts[0] = 2.0
    counts[-1] = 1.0
    histo = summary_pb2.HistogramProto(min=1.0, max=4.0, num=3.0, sum=6.0, sum_squares=18.0, bucket_limit=limits, bucket=counts)
    return Value(tag="h", histo=histo)


def generate():
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    start = event_pb2.Event(file_version="brain.Event:2")
    # A time of 0 is left out by protocol buffers, and is written by the lab; the lab's record is checked on its own.
    for e in [event(300, 1.5, Value(tag="a", simple_value=0.25)), event(7, 0.5, histogram()), event(1, 2.0, hyper_parameters())]:
        writer.write(e.SerializeToString(deterministic=True))
    OUT.write_text(buffer.getvalue().hex() + "\n")
    with tempfile.TemporaryDirectory() as directory:
        whole = io.BytesIO()
        RecordWriter(whole).write(start.SerializeToString())
        Path(directory, "events.out.tfevents.0.x").write_bytes(whole.getvalue() + buffer.getvalue())
        read(Path(directory))


def read(directory):
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    tags = accumulator.Tags()
    scalars = {tag: len(accumulator.Scalars(tag)) for tag in tags["scalars"]}
    histograms = {tag: accumulator.Histograms(tag)[0].histogram_value.num for tag in tags["histograms"]}
    hypers = {}
    if "_hparams_/session_start_info" in tags["tensors"]:
        metadata = accumulator.SummaryMetadata("_hparams_/session_start_info")
        start = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info
        hypers = {k: v.string_value or v.number_value for k, v in sorted(start.hparams.items())}
    print(directory.name, scalars, histograms, hypers)


if len(sys.argv) > 1:
    for argument in sys.argv[1:]:
        for run in sorted(Path(argument).iterdir()):
            read(run)
else:
    generate()
