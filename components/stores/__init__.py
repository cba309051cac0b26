"""Where model folders are kept, and how their files get here: object stores, MLflow's proxy, image registries."""
