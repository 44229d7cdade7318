"""How good an answer is: counts over a data set that add up, whatever the batches were."""
