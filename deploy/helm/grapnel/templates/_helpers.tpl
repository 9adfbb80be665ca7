{{/* Name of all objects: the release's, where it says grapnel already. */}}
{{- define "grapnel.name" -}}
{{- if contains "grapnel" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-grapnel" (.Release.Name | trunc 32 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "grapnel.selectorLabels" -}}
app.kubernetes.io/name: grapnel
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "grapnel.labels" -}}
{{ include "grapnel.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The settings file: what is given, and the clusters with the files of their Secrets. */}}
{{- define "grapnel.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- if .Values.clusters -}}
{{- $clusters := list -}}
{{- range .Values.clusters -}}
{{- $entry := omit . "kubeconfigSecret" -}}
{{- with .kubeconfigSecret -}}
{{- $_ := set $entry "kubeconfig" (printf "/etc/grapnel-clusters/%s/%s" $entry.name (.key | default "kubeconfig")) -}}
{{- end -}}
{{- $clusters = append $clusters $entry -}}
{{- end -}}
{{- $_ := set $settings "clusters" $clusters -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "grapnel.subjects" -}}
- kind: ServiceAccount
  name: {{ include "grapnel.name" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* Connections that all come from a few addresses are not limited by address. */}}
{{- define "grapnel.isBehindProxy" -}}
{{- if has .Values.exposure.kind (list "Ingress" "HTTPRoute" "Route" "NodePort") -}}true{{- end -}}
{{- end -}}

{{- define "grapnel.externalUrl" -}}
{{- if .Values.externalUrl -}}
{{- .Values.externalUrl -}}
{{- else if and .Values.exposure.host (has .Values.exposure.kind (list "Ingress" "HTTPRoute" "Route")) -}}
{{- if and (eq .Values.exposure.kind "Ingress") (not .Values.exposure.ingress.tlsSecretName) -}}
http://{{ .Values.exposure.host }}
{{- else -}}
https://{{ .Values.exposure.host }}
{{- end -}}
{{- end -}}
{{- end -}}
