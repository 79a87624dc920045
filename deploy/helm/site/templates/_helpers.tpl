{{- define "site.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "site.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "site.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "site.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

{{- define "site.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end -}}
{{- end }}

{{/* Copies keys from the secret into the site's folder: files of this user, readable by nobody else. */}}
{{- define "site.folder" -}}
image: {{ include "site.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command:
  - sh
  - -euc
  - |
    umask 077
    install -d -m 700 /site/.consilium /site/.consilium/tls /site/.consilium/logs /site/.consilium/run
    install -m 600 /config/site.toml /site/site.toml
    for file in {{ join " " .files }}; do
      install -m 600 "/keys/$file" "/site/.consilium/$file"
    done
    for file in {{ join " " .certificates }}; do
      install -m 600 "/keys/$file" "/site/.consilium/tls/$file"
    done
    install -m 644 /keys/node.pub /site/.consilium/node.pub
    {{- if .root.Values.connection.certificatesKey }}
    install -m 644 "/keys/{{ .root.Values.connection.certificatesKey }}" /site/coordinator-ca.crt
    {{- end }}
securityContext:
  {{- include "site.containerSecurity" .root | nindent 2 }}
resources:
  requests: {cpu: 50m, memory: 32Mi}
  limits: {memory: 64Mi}
volumeMounts:
  - {name: site, mountPath: /site}
  - {name: config, mountPath: /config, readOnly: true}
  - {name: keys, mountPath: /keys, readOnly: true}
{{- end }}

{{/* Names have to be looked up; the cluster's own resolver only. */}}
{{- define "site.dns" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .Values.dns.namespace }}
      podSelector:
        matchLabels:
          k8s-app: kube-dns
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}
