"""What all report pages share: strict templates in which everything is escaped, number formats and one style sheet."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from iterqr_training.experiments import wording


def page_template(package: str) -> Template:
    """Returns `report.html.j2` of a package; it may include `report.css`, which is this package's."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("iterqr_training.experiments", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=wording.count,
        decimal=wording.decimal,
        signed=wording.signed,
        percent=wording.percent,
        share=lambda value: f"{value:.0%}",
        signed_percent=wording.signed_percent,
        p_value=wording.p_value,
        interval=wording.interval,
        lift_interval=wording.lift_interval,
    )
    return environment.get_template("report.html.j2")
