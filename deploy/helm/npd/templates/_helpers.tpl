{{/*
Names and selectors are those of deliveryhero's chart: they cannot be changed in an installed release.
*/}}
{{- define "npd.name" -}}
{{- default "node-problem-detector" .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "npd.fullname" -}}
{{- $name := default "node-problem-detector" .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "npd.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "npd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "npd.customConfigName" -}}
{{- printf "%s-custom-config" (include "npd.fullname" .) | trunc 63 -}}
{{- end -}}

{{- define "npd.selectorLabels" -}}
app.kubernetes.io/name: {{ include "npd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app: {{ include "npd.name" . }}
{{- end -}}

{{- define "npd.labels" -}}
{{ include "npd.selectorLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "npd.image" -}}
{{- with .Values.image -}}
{{- if regexMatch "(^|/)node-problem-detector/node-problem-detector$" .repository -}}
{{- fail (printf "image.repository is %s, the image of node-problem-detector itself, which does not know this chart's flags. Say where the image of npd is, and undo the tag and digest of the other one: --set image.repository=REGISTRY/npd --set image.tag= --set image.digest=" .repository) -}}
{{- end -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "npd.extraArgs" -}}
{{- .Values.settings.extraArgs | default list | join " " -}}
{{- end -}}

{{/*
deliveryhero's chart appends extraArgs to the line of a shell. What is plain words, Kubernetes' own $(NAME) included, needs
none; "true" when a shell has to read it.
*/}}
{{- define "npd.needsShell" -}}
{{- $words := regexReplaceAll "\\$\\([A-Za-z_][A-Za-z0-9_]*\\)" (include "npd.extraArgs" .) "" -}}
{{- regexMatch "[^A-Za-z0-9_@%+=:,./\\s-]" $words -}}
{{- end -}}

{{/* The value of the last --FLAG in extraArgs. Takes a list of the root and the flag. */}}
{{- define "npd.extraArg" -}}
{{- $flag := index . 1 -}}
{{- $given := regexFindAll (printf "(?:^|\\s)--%s(?:=|\\s+)\\S+" $flag) (include "npd.extraArgs" (index . 0)) -1 -}}
{{- if $given -}}
{{- regexReplaceAll (printf "^\\s*--%s(?:=|\\s+)" $flag) (last $given) "" | trimAll "\"'" -}}
{{- end -}}
{{- end -}}

{{- define "npd.nodeSelector" -}}
{{- toYaml (merge (dict "kubernetes.io/os" "linux") (default dict .Values.nodeSelector)) -}}
{{- end -}}

{{/* Labels of the user, whose values may be numbers. */}}
{{- define "npd.userLabels" -}}
{{- range $key, $value := .Values.labels }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "npd.healthAddress" -}}
{{- $auto := ternary "127.0.0.1" "0.0.0.0" .Values.hostNetwork -}}
{{- include "npd.extraArg" (list . "address") | default .Values.health.address | default $auto -}}
{{- end -}}

{{- define "npd.healthPort" -}}
{{- include "npd.extraArg" (list . "port") | default .Values.health.port -}}
{{- end -}}

{{/*
The arguments but extraArgs, as a YAML list. A list of files may be empty; the agent wants none of its kind then.
*/}}
{{- define "npd.args" -}}
{{- with .Values.settings.log_monitors }}
- {{ printf "--config.system-log-monitor=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.settings.custom_plugin_monitors }}
- {{ printf "--config.custom-plugin-monitor=%s" (join "," .) | quote }}
{{- end }}
- {{ printf "--prometheus-address=%s" .Values.settings.prometheus_address | quote }}
- --prometheus-port={{ int .Values.settings.prometheus_port }}
- {{ printf "--k8s-exporter-heartbeat-period=%s" .Values.settings.heartBeatPeriod | quote }}
- {{ printf "--address=%s" (.Values.health.address | default (ternary "127.0.0.1" "0.0.0.0" .Values.hostNetwork)) | quote }}
- --port={{ int .Values.health.port }}
- --kernel-source={{ .Values.kernelSource }}
- --state-dir={{ ternary "/var/lib/npd" "" (ne .Values.stateDir "") }}
{{- if .Values.podEvents.enabled }}
- --pod-events
{{- end }}
{{- end -}}

{{- define "npd.securityContext" -}}
{{- if eq .Values.privileges "least" -}}
{{- $own := default dict .Values.securityContext -}}
{{- if $own.privileged -}}
{{- fail "privileges is least and securityContext.privileged is true; leave one of the two out" -}}
{{- end -}}
{{- $least := dict
    "runAsUser" 0 "runAsGroup" 0 "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true
    "seccompProfile" (dict "type" "RuntimeDefault")
    "capabilities" (dict "drop" (list "ALL") "add" (list "BPF" "PERFMON" "SYSLOG")) -}}
{{- toYaml (mergeOverwrite $least (deepCopy $own)) -}}
{{- else -}}
{{- toYaml (default (dict "privileged" true) .Values.securityContext) -}}
{{- end -}}
{{- end -}}

{{/*
The chart's own volumes and where they are mounted, a dict of lists. What extraVolumeMounts has at the same path is the
user's: values that were written for node-problem-detector may bring all kinds of folders of the host.
*/}}
{{- define "npd.volumes" -}}
{{- $logs := default .Values.logDir.host .Values.logDir.pod -}}
{{- $all := list
    (dict "name" "log" "path" $logs "readOnly" true "source" (dict "hostPath" (dict "path" .Values.logDir.host)))
    (dict "name" "custom-config" "path" "/custom-config" "readOnly" true
      "source" (dict "configMap" (dict "name" (include "npd.customConfigName" .)))) -}}
{{- if .Values.volume.localtime.enabled -}}
{{- $all = append $all (dict "name" "localtime" "path" "/etc/localtime" "readOnly" true
      "source" (dict "hostPath" (dict "path" "/etc/localtime" "type" .Values.volume.localtime.type))) -}}
{{- end -}}
{{- if .Values.stateDir -}}
{{- $all = append $all (dict "name" "npd-state" "path" "/var/lib/npd" "readOnly" false
      "source" (dict "hostPath" (dict "path" .Values.stateDir "type" "DirectoryOrCreate"))) -}}
{{- end -}}
{{- if eq .Values.privileges "least" -}}
{{- $all = append $all (dict "name" "npd-tracing" "path" "/sys/kernel/tracing" "readOnly" true
      "source" (dict "hostPath" (dict "path" "/sys/kernel/tracing" "type" "Directory"))) -}}
{{- end -}}
{{- $taken := list -}}
{{- range .Values.extraVolumeMounts -}}
{{- $taken = append $taken (trimSuffix "/" .mountPath) -}}
{{- end -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- range $all -}}
{{- if not (has (trimSuffix "/" .path) $taken) -}}
{{- $volumes = append $volumes (merge (dict "name" .name) .source) -}}
{{- $mounts = append $mounts (merge (dict "name" .name "mountPath" .path) (ternary (dict "readOnly" true) dict .readOnly)) -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict
    "volumes" (concat $volumes (default list .Values.extraVolumes))
    "mounts" (concat $mounts (default list .Values.extraVolumeMounts))) -}}
{{- end -}}

{{- define "npd.probe" -}}
httpGet:
  path: {{ .path }}
  port: {{ int .port }}
  {{- if not (has .address (list "0.0.0.0" "::")) }}
  host: {{ .address | quote }}
  {{- end }}
timeoutSeconds: 5
{{- end -}}

{{/* Not for the service account `default`: the policies would hold whoever else runs under it. */}}
{{- define "npd.hasAdmissionPolicy" -}}
{{- and .Values.admissionPolicy.enabled (ne (include "npd.serviceAccountName" .) "default") (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
