"""The runtime `ostinato-mlflow`: a model folder behind the Open Inference Protocol, and the proof that it is served."""
