{{/* Rules by system: the same as in deploy/kubernetes. Used in ClusterRoles, or in a Role for each watched namespace. */}}

{{- define "grapnel.rules.hooks" -}}
- apiGroups: [grapnel.dev]
  resources: [hooks]
  verbs: [get, list, watch, patch]         # patch: the finalizer
- apiGroups: [grapnel.dev]
  resources: [hooks/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [authorization.k8s.io]
  resources: [selfsubjectaccessreviews]    # `grapnel doctor` asks what this account may do
  verbs: [create]
{{- end -}}

{{- define "grapnel.rules.secrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- end -}}

{{- define "grapnel.rules.flux" -}}
- apiGroups: [notification.toolkit.fluxcd.io, notification.fluxcd.io]    # the second: Flux of 2020
  resources: [receivers]
  verbs: [get, list, watch, patch]         # patch: the finalizer, where Grapnel judges Receivers itself
- apiGroups: [notification.toolkit.fluxcd.io, notification.fluxcd.io]
  resources: [receivers/status]
  verbs: [patch]
- apiGroups: [source.toolkit.fluxcd.io]
  resources: [gitrepositories, ocirepositories, helmrepositories, helmcharts, buckets, externalartifacts]
  verbs: [get, list, watch, patch]         # patch: the annotation reconcile.fluxcd.io/requestedAt
- apiGroups: [source.extensions.fluxcd.io]
  resources: [artifactgenerators]
  verbs: [get, list, watch, patch]
- apiGroups: [image.toolkit.fluxcd.io]
  resources: [imagerepositories, imagepolicies, imageupdateautomations]
  verbs: [get, list, watch, patch]
- apiGroups: [kustomize.toolkit.fluxcd.io]
  resources: [kustomizations]
  verbs: [get, list, watch, patch]
- apiGroups: [helm.toolkit.fluxcd.io]
  resources: [helmreleases]
  verbs: [get, list, watch, patch]
- apiGroups: [fluxcd.controlplane.io]      # Flux Operator
  resources: [resourcesetinputproviders, resourcesets]
  verbs: [get, list, watch, patch]
- apiGroups: [coordination.k8s.io]         # whether a notification-controller lives: --receiver-status auto
  resources: [leases]
  resourceNames: [notification-controller-leader-election]
  verbs: [get]
{{- end -}}

{{- define "grapnel.rules.openshift" -}}
- apiGroups: [build.openshift.io]
  resources: [buildconfigs]
  verbs: [get, list, watch]
- apiGroups: [build.openshift.io]
  resources: [buildconfigs/instantiate]
  verbs: [create]
# Whether a Build was made already, when an answer was lost or the server was killed.
- apiGroups: [build.openshift.io]
  resources: [builds]
  verbs: [list]
# The caller of instantiate must be allowed the strategy. Custom builds are privileged: add builds/custom where they are wanted.
- apiGroups: [build.openshift.io]
  resources: [builds/docker, builds/optimizeddocker, builds/source, builds/jenkinspipeline]
  verbs: [create]
{{- end -}}

{{- define "grapnel.rules.openshift-relay" -}}
- apiGroups: [build.openshift.io]
  resources: [buildconfigs]
  verbs: [get, list, watch]
- apiGroups: [build.openshift.io]
  resources: [buildconfigs/webhooks]
  verbs: [create]
{{- end -}}

{{- define "grapnel.rules.kubesphere" -}}
- apiGroups: [devops.kubesphere.io]
  resources: [s2ibuilders]
  verbs: [get, list, watch]
- apiGroups: [devops.kubesphere.io]
  resources: [s2iruns]
  # list: whether a run was made already, when an answer was lost or the server was killed.
  verbs: [create, list]
{{- end -}}

{{- define "grapnel.rules.build-service" -}}
- apiGroups: [kpack.io]
  resources: [builders, clusterbuilders, clusterstacks, clusterstores, buildpacks, clusterbuildpacks, clusterlifecycles]
  verbs: [get, list, watch, patch]         # patch: the annotations grapnel.dev/refresh-*
- apiGroups: [build.pivotal.io]            # kpack up to 0.0.9
  resources: [builders, clusterbuilders]
  verbs: [get, list, watch, patch]
- apiGroups: [kpack.io, build.pivotal.io]
  resources: [images]
  verbs: [get, list, watch]
- apiGroups: [kpack.io, build.pivotal.io]  # buildService.forceBuild
  resources: [builds]
  verbs: [get, patch]
{{- end -}}

{{/* The enabled ones, as a list in JSON. */}}
{{- define "grapnel.systems" -}}
{{- $systems := list "hooks" "secrets" -}}
{{- if .Values.systems.flux }}{{ $systems = append $systems "flux" }}{{ end -}}
{{- if eq .Values.systems.openshift "instantiate" }}{{ $systems = append $systems "openshift" }}{{ end -}}
{{- if eq .Values.systems.openshift "relay" }}{{ $systems = append $systems "openshift-relay" }}{{ end -}}
{{- if .Values.systems.kubesphere }}{{ $systems = append $systems "kubesphere" }}{{ end -}}
{{- if .Values.systems.buildService }}{{ $systems = append $systems "build-service" }}{{ end -}}
{{- $systems | toJson -}}
{{- end -}}
