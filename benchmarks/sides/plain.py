"""A script as usually written: one process, one step after the other."""

from work import champion, deploy, evaluate, preprocess, register, train


def main() -> None:
    data = preprocess()
    candidate = train(data)
    version = champion(candidate)
    judged = evaluate(data, candidate, version)
    registered = register(data, candidate, judged)
    print(f"version {registered}, commit {deploy(registered, judged)}")


if __name__ == "__main__":
    main()
