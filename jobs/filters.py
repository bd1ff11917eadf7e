"""Filters on a command line: NAME, or NAME:SETTING=VALUE:SETTING=VALUE, of the classes in `pipeline/filters/`."""

import pipeline.filters
from jobs.words import REGISTRY, Family, settings_of
from pipeline.filters.base import Filter

__all__ = ["REGISTRY", "filter_from", "filters_from", "filters_help", "known_filters", "settings_of", "word_for"]

FILTERS = Family[Filter](Filter, pipeline.filters, "filter", lambda kind: kind.name())
filter_from, filters_from, word_for, filters_help = FILTERS.one_from, FILTERS.all_from, FILTERS.word_for, FILTERS.help
FILTERS.rule(filters_from, word_for, tuple[Filter, ...])


def known_filters() -> dict[str, type[Filter]]:
    """All filters by their names."""
    return FILTERS.known
