"""The default: the source and documentation of the Python that runs, and a model that two CPU cores train in minutes."""

from jobs.recipe import PretrainRecipe

RECIPE = PretrainRecipe()
