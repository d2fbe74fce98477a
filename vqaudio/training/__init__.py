"""Training: one loop for the VQ-VAE and the prior, checkpoints, precision, TensorBoard.

task (what is learned: batches, loss, evaluation) ──▶ loop (steps, log, checkpoints, signals) ──▶ experiment folder
"""
