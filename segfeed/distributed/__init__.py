"""Train on several machines, or on several accelerators of one.

Start the same command on each machine, with the environment variable TF_CONFIG of TensorFlow:

    TF_CONFIG='{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'

Each worker reads its part of every batch. TensorFlow's strategy sums gradients, batch statistics and
scores over all of them, so that a batch of all workers is what it would be in one process.

The workers meet before TensorFlow starts. With the same long random text in SEGFEED_SECRET on each machine nobody
else is let in to this meeting; without it, who knows all addresses is.
"""
