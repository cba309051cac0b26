"""gcloud's own reader of build files, as a program: SDK folder, file. Fails as `gcloud builds submit` does."""

import sys

sdk, path = sys.argv[1:]
sys.path[:0] = [f"{sdk}/lib", f"{sdk}/lib/third_party"]

from googlecloudsdk.api_lib.cloudbuild import cloudbuild_util, config  # pyright: ignore[reportMissingImports] # noqa: E402

build = config.LoadCloudbuildConfigFromPath(path, cloudbuild_util.GetMessagesModule(), params={})
print(len(build.steps), build.options.logging)
