# Sourced by the steps of cloudbuild.yaml that run ostinato: where things are, from the build's substitutions.
# shellcheck shell=bash
export OSTINATO_TRACKING_URI=$_TRACKING_URI OSTINATO_MANIFESTS_REMOTE=$_MANIFESTS_REMOTE
export OSTINATO_VERTEX__PROJECT=$PROJECT_ID OSTINATO_VERTEX__REGION=$_REGION
export OSTINATO_VERTEX__PIPELINE_ROOT=gs://$PROJECT_ID-pipelines/ostinato
export OSTINATO_VERTEX__SERVICE_ACCOUNT=ostinato-pipeline@$PROJECT_ID.iam.gserviceaccount.com
# The steps read these when they start; no value of them passes through here.
secret=projects/$PROJECT_ID/secrets
export OSTINATO_VERTEX__SECRETS="{\"MLFLOW_TRACKING_TOKEN\": \"$secret/mlflow-token/versions/latest\", \
\"OSTINATO_GIT_TOKEN\": \"$secret/forge-token/versions/latest\", \
\"OSTINATO_FORGE_TOKEN\": \"$secret/forge-token/versions/latest\"}"
# The checkout belongs to another user than the image's.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD
OSTINATO_IMAGE=$(cat .ostinato/build/image)
export OSTINATO_IMAGE
