{{- /* The one name of everything: a cluster takes one operator, and a second release is to be refused, not to fight. */ -}}
{{- define "proxima.name" -}}
proxima-operator
{{- end }}

{{- /* What never changes: a Deployment's selector cannot. */ -}}
{{- define "proxima.selectorLabels" -}}
app.kubernetes.io/name: {{ include "proxima.name" . }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "proxima.labels" -}}
{{ include "proxima.selectorLabels" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: proxima
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Name of an image from its values and the chart: (list .Values.image .Chart). A digest says all that a tag says. */ -}}
{{- define "proxima.image" -}}
{{- $image := index . 0 -}}
{{- $chart := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* Security context of a pod that passes Pod Security "restricted". */ -}}
{{- define "proxima.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "proxima.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "proxima.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}
