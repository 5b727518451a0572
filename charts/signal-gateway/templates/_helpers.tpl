{{- define "gateway.name" -}}{{ .Values.fullnameOverride }}{{- end }}

{{- define "gateway.serviceAccount" -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.name: required where serviceAccount.create is false" -}}
{{- end -}}
{{ .Values.serviceAccount.name | default (include "gateway.name" .) }}
{{- end }}

{{- define "gateway.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end }}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: signal-gateway
app.kubernetes.io/instance: {{ include "gateway.name" . }}
{{- end }}

{{/* What a pod is for tells the gateways from what runs beside them. */}}
{{- define "gateway.pods" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: kubernaut
{{- end }}

{{/* ClusterRoles are of the whole cluster, gateways of a namespace. */}}
{{- define "gateway.clusterName" -}}{{ .Release.Namespace }}-{{ include "gateway.name" . }}{{- end }}

{{- define "gateway.tlsSecret" -}}
{{- with .Values.tls -}}
{{- if .secretName -}}{{ .secretName }}{{- else if .certificate.create -}}{{ include "gateway.name" $ }}-tls{{- end -}}
{{- end -}}
{{- end }}

{{/* gateway.config is gateway.yaml: what the chart knows, under what values say. */}}
{{- define "gateway.config" -}}
{{- $c := dict "namespace" .Release.Namespace "webhooks" (dict "address" ":8080") "admin" (dict "address" ":9090") -}}
{{- if .Values.spool.enabled -}}
{{- $_ := set $c "spool" (dict "dir" "/var/lib/gateway/spool" "maxBytes" (int64 .Values.spool.maxBytes)) -}}
{{- end -}}
{{- if .Values.policy -}}
{{- $_ := set $c "policy" (dict "path" "/etc/gateway/policy") -}}
{{- end -}}
{{- if include "gateway.tlsSecret" . -}}
{{- $tls := dict "certFile" "/etc/gateway/tls/tls.crt" "keyFile" "/etc/gateway/tls/tls.key" "required" true -}}
{{- $_ := set $c.webhooks "tls" $tls -}}
{{- end -}}
{{- with .Values.rbac.owners -}}
{{- $o := dict "enabled" .enabled -}}
{{- if .kinds -}}{{- $_ := set $o "kinds" .kinds -}}{{- end -}}
{{- if or .kinds (not .enabled) -}}{{- $_ := set $c "owners" $o -}}{{- end -}}
{{- end -}}
{{- with .Values.redis -}}
{{- $r := dict -}}
{{- if .valkey.enabled -}}
{{- if .addresses -}}{{- fail "redis.addresses: has to be empty where redis.valkey.enabled is true" -}}{{- end -}}
{{- $_ := set $r "addresses" (list (printf "%s-valkey:6379" (include "gateway.name" $))) -}}
{{- else if .addresses -}}
{{- $_ := set $r "addresses" .addresses -}}
{{- end -}}
{{- if .masterName -}}{{- $_ := set $r "masterName" .masterName -}}{{- end -}}
{{- if .username -}}{{- $_ := set $r "username" .username -}}{{- end -}}
{{- if .passwordSecret.name -}}{{- $_ := set $r "passwordFile" (printf "/etc/gateway/redis/%s" .passwordSecret.key) -}}{{- end -}}
{{- if .tls.enabled -}}
{{- $t := dict "enabled" true -}}
{{- if .tls.caSecret -}}{{- $_ := set $t "caFile" "/etc/gateway/redis-ca/ca.crt" -}}{{- end -}}
{{- $_ := set $r "tls" $t -}}
{{- end -}}
{{- if $r -}}{{- $_ := set $c "redis" $r -}}{{- end -}}
{{- end -}}
{{- mergeOverwrite $c (deepCopy .Values.config) | toYaml -}}
{{- end }}

{{/* gateway.authenticates is true where somebody shows tokens of the cluster. */}}
{{- define "gateway.authenticates" -}}
{{- $c := include "gateway.config" . | fromYaml -}}
{{- range concat (list (dig "admin" dict $c)) (dig "sources" list $c) -}}
{{- range .auth -}}{{- if hasKey . "kubernetes" -}}true{{- end -}}{{- end -}}
{{- end -}}
{{- end }}

{{/* gateway.watches names the sources that watch Events. */}}
{{- define "gateway.watches" -}}
{{- $names := list -}}
{{- range dig "sources" list (include "gateway.config" . | fromYaml) -}}
{{- if dig "watch" "enabled" false . -}}{{- $names = append $names .name -}}{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}

{{/* gateway.heartbeats names the sources whose senders give signs of life. */}}
{{- define "gateway.heartbeats" -}}
{{- $names := list -}}
{{- range dig "sources" (list (dict "name" "prometheus" "format" "alertmanager")) (include "gateway.config" . | fromYaml) -}}
{{- $signs := or (hasKey . "heartbeat") (eq .format "alertmanager") -}}
{{- if and $signs (not (has (toString (dig "heartbeat" "interval" "" .)) (list "0" "0s"))) -}}{{- $names = append $names .name -}}{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}

{{/* gateway.redis is true where replicas share a ledger. */}}
{{- define "gateway.redis" -}}
{{- $c := include "gateway.config" . | fromYaml -}}
{{- if dig "redis" "addresses" (list) $c -}}true{{- end -}}
{{- end }}

{{/* gateway.check refuses what would break a promise. */}}
{{- define "gateway.check" -}}
{{- if not (include "gateway.redis" .) -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- fail "replicas: more than one gateway needs Redis; set redis.addresses or redis.valkey.enabled, or replicas to 1" -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "autoscaling.enabled: more than one gateway needs Redis; set redis.addresses or redis.valkey.enabled" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas: is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- end }}

{{/* gateway.several is true where there may be more than one gateway. */}}
{{- define "gateway.several" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}true{{- end -}}
{{- end }}
