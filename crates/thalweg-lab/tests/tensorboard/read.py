"""Reads event files with TensorBoard's own reader, and prints what it found as one JSON object.

    python read.py DIRECTORY

For each run below DIRECTORY: scalars as {tag: [[step, value], ..]}, histograms as {tag: [[step, {min, max, num,
sum, limits, counts}], ..]}, and the hyper-parameters with their group as the HParams plugin reads them.
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import metadata


def hyper_parameters(accumulator):
    content = accumulator.summary_metadata.get(metadata.SESSION_START_INFO_TAG)
    if content is None:
        return None
    start = metadata.parse_session_start_info_plugin_data(content.plugin_data.content)
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    return {"group": start.group_name, "values": values}


def histogram(value):
    numbers = {key: getattr(value, key) for key in ("min", "max", "num", "sum")}
    return {**numbers, "limits": list(value.bucket_limit), "counts": list(value.bucket)}


def read(directory):
    everything = {event_accumulator.SCALARS: 0, event_accumulator.HISTOGRAMS: 0}
    accumulator = event_accumulator.EventAccumulator(str(directory), size_guidance=everything)
    accumulator.Reload()
    tags = accumulator.Tags()
    return {
        "scalars": {tag: [[e.step, e.value] for e in accumulator.Scalars(tag)] for tag in tags["scalars"]},
        "histograms": {tag: [[e.step, histogram(e.histogram_value)] for e in accumulator.Histograms(tag)] for tag in tags["histograms"]},
        "hyper_parameters": hyper_parameters(accumulator),
    }


runs = sorted(path for path in pathlib.Path(sys.argv[1]).iterdir() if path.is_dir())
print(json.dumps({run.name: read(run) for run in runs}))
