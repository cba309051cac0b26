-- How healthy an InferenceService or an LLMInferenceService is, by what a real KServe was seen to say of it.
--
-- Argo CD runs it (argocd/kustomization.yaml puts it into argocd-cm), and so does `ostinato status --cluster`. Argo CD
-- gives scripts the base and table libraries of Lua 5.1 and, by require only, a part of os; no strings. So times are
-- compared as the texts that Kubernetes writes.
--
-- status.observedGeneration is not compared: KServe copies it from the Deployment (kserve issue 6081).
local STUCK_S = 600 -- progressDeadlineSeconds of a Deployment; KServe shows that it passed only behind a serving pod
local LOADING_S = 1800 -- the same for language models, the largest of which load for tens of minutes
local SILENT_S = 60 -- after which a controller that has said nothing is taken to be missing

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready

-- The moment before `seconds`, as Kubernetes writes it. Days since 1970 become a date of the Gregorian calendar: Howard
-- Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
local function ago(seconds)
  local function whole(number)
    return number - number % 1
  end
  local function two(number)
    return number < 10 and "0" .. number or "" .. number
  end
  local moment = require("os").time() - seconds
  local shifted = whole(moment / 86400) + 719468
  local era = whole(shifted / 146097)
  local of_era = shifted - era * 146097
  local years = whole((of_era - whole(of_era / 1460) + whole(of_era / 36524) - whole(of_era / 146096)) / 365)
  local of_year = of_era - (365 * years + whole(years / 4) - whole(years / 100))
  local month = whole((5 * of_year + 2) / 153)
  local day = of_year - whole((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  local year = years + era * 400 + (month <= 2 and 1 or 0)
  local rest = moment % 86400
  local clock = two(whole(rest / 3600)) .. ":" .. two(whole(rest % 3600 / 60)) .. ":" .. two(whole(rest % 60))
  return year .. "-" .. two(month) .. "-" .. two(day) .. "T" .. clock .. "Z"
end

local function lasts(condition, seconds)
  return condition.lastTransitionTime ~= nil and condition.lastTransitionTime <= ago(seconds)
end

local function filled(text)
  return text ~= nil and text ~= ""
end

local function words(condition)
  return filled(condition.message) and condition.message or filled(condition.reason) and condition.reason or "not ready"
end

local function health(of, ...)
  local sentences = {}
  for position = 1, select("#", ...) do
    local sentence = select(position, ...)
    if filled(sentence) then
      table.insert(sentences, sentence)
    end
  end
  return {status = of, message = table.concat(sentences, " ")}
end

-- What is False, but for what only sums it up or counts for nothing.
local function causes(left_out)
  local sentences = {}
  for _, condition in ipairs(status.conditions or {}) do
    if condition.status == "False" and not left_out[condition.type] then
      table.insert(sentences, condition.type .. ": " .. words(condition))
    end
  end
  return table.concat(sentences, "; ")
end

local function serving(pods)
  return pods == 1 and "1 pod serves." or pods > 1 and pods .. " pods serve." or ""
end

-- Knative's newest revision while one before it serves. By source (knative/serving at 98e5ef90, kserve at aaac4e29):
-- until it is ready its configuration, and so the sum, is Unknown without a reason, for as long as it loads; one that
-- failed makes the sum False, and the model "not loaded", while the route goes on.
local function newest_revision()
  local configuration = conditions.PredictorConfigurationReady
  local revisions = (status.components or {}).predictor or {}
  local before = revisions.latestReadyRevision
  if configuration == nil or not filled(before) or before == revisions.latestCreatedRevision then
    return nil
  end
  local percent = ((obj.spec or {}).predictor or {}).canaryTrafficPercent or 0
  if configuration.status == "False" then
    local which = percent > 0 and "The canary does not become ready. The live version serves."
      or "The new version does not become ready. The one before serves."
    return health("Degraded", which, words(configuration))
  end
  if percent > 0 then
    return health("Progressing", "The canary is starting, the live version serves.")
  end
  return health("Progressing", "The new version is rolling out, the one before serves.")
end

local function inference_service()
  local model = status.modelStatus or {}
  local transition = model.transitionStatus
  local pods = (model.copies or {}).totalCopies or 0
  local predictor = conditions.PredictorReady or {}
  local cause = causes({Ready = true, Stopped = true, CanaryPredictorReady = true})
  local failure = model.lastFailureInfo or {} -- stays after it was mended, so only some states quote it
  local failed = (failure.reason or "Failed") .. ": " .. (failure.message or "see the log of the predictor's pod")

  if (conditions.Stopped or {}).status == "True" then
    return health("Suspended", "Stopped by its annotation serving.kserve.io/stop.")
  end
  if transition == "InvalidSpec" then
    return health("Degraded", "KServe refuses the specification.", failed)
  end
  if ready == nil then
    return health("Progressing", "KServe has not looked at it yet.")
  end
  if predictor.reason == "ReconcileFailed" then
    return health("Degraded", "KServe can't set it up.", cause)
  end
  if predictor.reason == "FailedCreate" then
    return health("Degraded", "Its pods can't be created.", serving(pods), cause)
  end
  local revision = newest_revision()
  if revision ~= nil then
    return revision
  end
  if transition == "BlockedByFailedLoad" then
    return health("Degraded", "The model does not load.", serving(pods), failed)
  end

  if ready.status == "True" then
    -- This reason means that only pods of an older version are available; a finished roll-out has another.
    -- Knative's pods may be none (kserve issue 6079), and that is no roll-out.
    local knative = conditions.PredictorConfigurationReady ~= nil
    if predictor.reason == "MinimumReplicasAvailable" or (transition == "InProgress" and not knative) then
      return health("Progressing", "The new version is rolling out, the one before serves.")
    end
    local canary = conditions.CanaryPredictorReady
    if canary == nil or canary.status == "True" then
      return health("Healthy", "The model is loaded and serves.")
    end
    if lasts(canary, STUCK_S) then
      return health("Degraded", "The canary does not become ready; its pod's log says why. The live version serves.")
    end
    return health("Progressing", "The canary is starting, the live version serves.")
  end

  if ready.status == "Unknown" then
    local silent = not filled(ready.reason) and not filled(ready.message)
    if silent and conditions.PredictorConfigurationReady == nil and lasts(ready, SILENT_S) then
      local mode = ((obj.metadata or {}).annotations or {})["serving.kserve.io/deploymentMode"] or "its deployment mode"
      return health("Degraded", "KServe has done nothing with it. Is " .. mode .. " installed in this cluster?", cause)
    end
    return health("Progressing", "A change is rolling out.", filled(ready.message) and ready.message or cause)
  end

  if predictor.reason == "ProgressDeadlineExceeded" then
    local left = pods > 0 and "The one before serves." or "Nothing serves."
    return health("Degraded", "The new version does not become ready.", left, cause)
  end
  if predictor.status == "True" then
    if lasts(ready, SILENT_S) then
      return health("Degraded", "Nothing serves.", filled(cause) and cause or words(ready))
    end
    return health("Progressing", "The pods are ready, the route is being made.")
  end
  if lasts(predictor, STUCK_S) then
    local left = pods > 0 and serving(pods) .. " The others do not become ready." or "Nothing serves."
    return health("Degraded", left, "No pod became ready for 10 minutes.", cause)
  end
  if pods > 0 then
    return health("Progressing", serving(pods), "More are starting.")
  end
  if transition == "InProgress" and (model.states or {}).activeModelState ~= "Loaded" then
    return health("Progressing", "The first model is loading.", cause)
  end
  local strategy = (((obj.spec or {}).predictor or {}).deploymentStrategy or {}).type
  if transition == "InProgress" and strategy == "Recreate" then
    return health("Progressing", "The new version is loading; nothing serves until then, as strategy Recreate says.")
  end
  return health("Degraded", "Nothing serves.", filled(cause) and cause or words(ready))
end

-- KServe calls it ready when its Deployment is "available", which it may be without a pod: an update takes the old
-- pod's GPU first (maxSurge 0, maxUnavailable 1). So the ready pods are counted.
local function language_model()
  local WAITS = {MinimumReplicasUnavailable = true, Progressing = true}
  local replicas = (obj.spec or {}).replicas or 1
  local workload = (status.workloads or {}).primary
  local pods = workload and (workload.readyReplicas or 0)
  local broken = nil
  for _, condition in ipairs(status.conditions or {}) do
    if condition.reason == "Stopped" then
      return health("Suspended", "Stopped by its annotation serving.kserve.io/stop.")
    end
    local settles = condition.reason == "HTTPRoutesNotReady" and not lasts(condition, SILENT_S)
    if condition.status == "False" and condition.type ~= "Ready" and not WAITS[condition.reason or ""] and not settles then
      broken = broken or condition
    end
  end

  if ready == nil then
    return health("Progressing", "KServe has not looked at it yet.")
  end
  if broken ~= nil then
    return health("Degraded", serving(pods or 0), broken.type .. ": " .. words(broken))
  end
  if ready.status == "True" and (pods == nil or pods >= replicas) then
    return health("Healthy", "The model is loaded and serves.")
  end
  local cause = causes({Ready = true, WorkloadsReady = true, RouterReady = true})
  if lasts(conditions.WorkloadsReady or ready, LOADING_S) then
    local count = (pods or 0) .. " of " .. replicas .. " pods are ready after half an hour;"
    return health("Degraded", count, "the pod's log says why.", cause)
  end
  local left = (pods or 0) > 0 and serving(pods) or "No pod is ready yet; its log says whether the model loads."
  return health("Progressing", left, cause)
end

if obj.kind == "LLMInferenceService" then
  return language_model()
end
return inference_service()
