"""The rows of a training dataset as an Arrow schema: written by the dataset's builder, read by training.

A dataset is a folder: `train.parquet`, `validation.parquet`, `test.parquet` of this schema and `datasheet.json`, which
names their digests. Prompts are not in it: whoever trains renders them (`iterqr_proto.rewrite_format`) from `query`,
`hints` and `subject`, as the server does.
"""

from __future__ import annotations

import enum

import pyarrow as pa


class Task(enum.StrEnum):
    """What the model learns from an example.

    GENERATION: query and hints to lines of rewrite format v1, ending in good rewrites.
    QUALITY: is a rewrite well formed and usable as a search query?
    RELEVANCE: does a rewrite, or an item's title, give what the user of the query needs?
    """

    GENERATION = "generation"
    QUALITY = "quality"
    RELEVANCE = "relevance"


class LabelSource(enum.StrEnum):
    """Where a label comes from.

    REFORMULATION: users searched for it next. SPELLING: most users spell the query so. TRUTH is the simulator's and
    only for upper-bound experiments.
    """

    CLICK = "click"
    REFORMULATION = "reformulation"
    SPELLING = "spelling"
    JUDGE = "judge"
    HUMAN = "human"
    TRUTH = "truth"


class Band(enum.StrEnum):
    """How frequent a query is."""

    HEAD = "head"
    TORSO = "torso"
    TAIL = "tail"


SPLITS = ("train", "validation", "test")

EXAMPLES = pa.schema(
    [
        pa.field("example_id", pa.string()),  # digest of task, query_key, region, subject and target
        pa.field("task", pa.string()),  # of Task
        pa.field("query", pa.string()),
        pa.field("query_key", pa.string()),  # words of the normalized query (comparison_form): one split only
        pa.field("region", pa.string()),
        pa.field("hints", pa.list_(pa.string())),  # titles, as the prompt had them
        pa.field("subject", pa.string()),  # rewrite or title that is judged; "" for generation
        pa.field("target", pa.string()),  # lines of format v1, or YES or NO of rewrite_format.scoring
        pa.field("weight", pa.float64()),  # of the example's loss, above 0
        pa.field("label_source", pa.string()),  # of LabelSource
        pa.field("band", pa.string()),  # of Band
        pa.field("iteration", pa.int32()),  # of the loop in which it was labelled; 0 before the first
        pa.field("observed_at", pa.timestamp("us", tz="UTC")),  # of the latest search or event behind the label
    ]
)
