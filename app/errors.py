"""What can go wrong, in words for the person in front of the application."""


class ForecastError(Exception):
    """No forecast was given."""


class EndpointUnavailable(ForecastError):
    """Nobody answered, in time or at all, or not as an Open Inference Protocol server does. Later it may work."""


class RequestRefused(ForecastError):
    """The endpoint or this client can't take these rows or this model name; asking again gives the same answer."""
