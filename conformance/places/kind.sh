#!/usr/bin/env bash
# Brings the released Kubernetes tools, KServe, Argo CD and Kubeflow Pipelines, of the versions that the environment
# names, and the places of a run to a kind cluster that is there. docs/how-to/conformance.md
set -euo pipefail

helm install cert-manager cert-manager --repo https://charts.jetstack.io --version "$CERT_MANAGER" \
  --namespace cert-manager --create-namespace --set crds.enabled=true --wait
helm install envoy-gateway oci://docker.io/envoyproxy/gateway-helm --version "$ENVOY_GATEWAY" \
  --namespace envoy-gateway-system --create-namespace --wait
kubectl create namespace kserve
kubectl apply --filename - <<'EOF'
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: envoy}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: kserve-ingress-gateway, namespace: kserve}
spec:
  gatewayClassName: envoy
  listeners:
    - {name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}
EOF
gateway="kserve.controller.gateway.ingressGateway"
for chart in kserve-crd kserve-llmisvc-crd; do
  helm install "$chart" "oci://ghcr.io/kserve/charts/$chart" --version "$KSERVE" --namespace kserve --wait
done
helm install kserve-resources oci://ghcr.io/kserve/charts/kserve-resources --version "$KSERVE" --namespace kserve --wait \
  --set kserve.controller.deploymentMode=Standard --set "$gateway.enableGatewayApi=true" \
  --set "$gateway.kserveGateway=kserve/kserve-ingress-gateway"
helm install kserve-runtime-configs oci://ghcr.io/kserve/charts/kserve-runtime-configs --version "$KSERVE" \
  --namespace kserve --set kserve.servingruntime.enabled=true --wait

kubectl create namespace argocd
kubectl apply --server-side --namespace argocd \
  --filename "https://raw.githubusercontent.com/argoproj/argo-cd/$ARGOCD/manifests/install.yaml"

pipelines="github.com/kubeflow/pipelines/manifests/kustomize"
kubectl apply --server-side -k "$pipelines/cluster-scoped-resources?ref=$KFP"
kubectl wait --for condition=established --timeout=60s crd/applications.app.k8s.io
kubectl apply --server-side -k "$pipelines/env/platform-agnostic?ref=$KFP"

kubectl apply --filename conformance/places/places.yaml
for namespace in argocd kubeflow ostinato-places; do
  kubectl --namespace "$namespace" wait --for=condition=Available --timeout=900s deployment --all
done
