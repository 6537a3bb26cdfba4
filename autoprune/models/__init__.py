"""Target models: loading, finding and walking decoder blocks, calibration statistics, saving."""
