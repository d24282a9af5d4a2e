"""The benchmarks: Portcullis beside real peers, in the same run, on the same core."""
