"""Rewrite format v1: how a query becomes a prompt and how the model's lines become rewrites.

The one implementation used by server and training. Three pure steps: `render` (query and hints to a `Prompt`),
`grammar` (the regular expression every well-formed output matches) and `LineParser` (text, as it streams, to lines).
Beside it the scoring format v1, `render_question`: a rewrite as a question with one word as its answer. Golden files in
proto/golden fix all of it.
"""

from iterqr_proto.rewrite_format.grammar import FORMAT_VERSION, MAX_LINE_CHARS, grammar
from iterqr_proto.rewrite_format.normalize import comparison_form, normalize_query
from iterqr_proto.rewrite_format.parser import Field, Line, LineParser, RewriteOutput, collect, parse
from iterqr_proto.rewrite_format.prompt import Prompt, RewriteInput, Segment, render
from iterqr_proto.rewrite_format.scoring import NO, SCORING_VERSION, YES, Question, render_question
from iterqr_proto.rewrite_format.template import Example, Template, TemplateError, load_template, template_path
from iterqr_proto.rewrite_format.text import clean_text

__all__ = [
    "FORMAT_VERSION",
    "MAX_LINE_CHARS",
    "NO",
    "SCORING_VERSION",
    "YES",
    "Example",
    "Field",
    "Line",
    "LineParser",
    "Prompt",
    "Question",
    "RewriteInput",
    "RewriteOutput",
    "Segment",
    "Template",
    "TemplateError",
    "clean_text",
    "collect",
    "comparison_form",
    "grammar",
    "load_template",
    "normalize_query",
    "parse",
    "render",
    "render_question",
    "template_path",
]
