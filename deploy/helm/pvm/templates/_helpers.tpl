{{- define "pvm.labels" -}}
app.kubernetes.io/name: pvm
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* A pod of the platform: root, component, command, probe (a probe's body), ports, resources. */}}
{{- define "pvm.pod" -}}
metadata:
  labels: {{- include "pvm.labels" . | nindent 4 }}
  annotations:
    checksum/config: {{ include (print .root.Template.BasePath "/config.yaml") .root | sha256sum }}
spec:
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  automountServiceAccountToken: false
  {{- if .root.Values.priorityClasses.create }}
  priorityClassName: {{ .root.Release.Name }}-services
  {{- end }}
  securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 4 }}
  terminationGracePeriodSeconds: {{ .grace | default 30 }}
  {{- if .restart }}
  restartPolicy: {{ .restart }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag }}"
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: {{- toJson .command | nindent 8 }}
      securityContext: {{- toYaml .root.Values.securityContext | nindent 8 }}
      envFrom:
        - secretRef: {name: {{ .root.Values.secret }}}
        - configMapRef: {name: {{ .root.Release.Name }}-pvm}
      {{- with .port }}
      ports: [{name: http, containerPort: {{ . }}}]
      {{- end }}
      {{- with .probe }}
      startupProbe: {httpGet: {path: {{ .live }}, port: http}, periodSeconds: 5, failureThreshold: 36}
      livenessProbe: {httpGet: {path: {{ .live }}, port: http}, periodSeconds: 15, timeoutSeconds: 5}
      readinessProbe: {httpGet: {path: {{ .ready }}, port: http}, periodSeconds: 5, timeoutSeconds: 5}
      {{- end }}
      resources: {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - {name: home, mountPath: /var/lib/pvm}
        - {name: tmp, mountPath: /tmp}
        - {name: workspace, mountPath: /etc/pvm, readOnly: true}
  volumes:
    - name: home
      {{- if .root.Values.home.claim }}
      persistentVolumeClaim: {claimName: {{ .root.Values.home.claim }}}
      {{- else }}
      emptyDir: {}
      {{- end }}
    - {name: tmp, emptyDir: {}}
    - name: workspace
      configMap: {name: {{ .root.Release.Name }}-workspace}
  {{- with .root.Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* A Deployment of such pods: the same, and replicas. */}}
{{- define "pvm.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .root.Release.Name }}-{{ .component }}
  labels: {{- include "pvm.labels" . | nindent 4 }}
spec:
  {{- if not .scaled }}
  replicas: {{ .replicas }}
  {{- end }}
  selector:
    matchLabels: {{- include "pvm.labels" . | nindent 6 }}
  template: {{- include "pvm.pod" . | nindent 4 }}
{{- end }}

{{- define "pvm.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .root.Release.Name }}-{{ .component }}
  labels: {{- include "pvm.labels" . | nindent 4 }}
spec:
  selector: {{- include "pvm.labels" . | nindent 4 }}
  ports: [{name: http, port: {{ .port }}, targetPort: http}]
{{- end }}

{{- define "pvm.scaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .root.Release.Name }}-{{ .component }}
  labels: {{- include "pvm.labels" . | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .root.Release.Name }}-{{ .component }}}
  minReplicas: {{ .replicas }}
  maxReplicas: {{ .scale.max }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .scale.cpu }}}
{{- end }}
