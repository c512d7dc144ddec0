//! The named patterns of `grok` for log lines. They have the usual names; expressions with look-around are
//! rewritten without it.

/// Pattern names and expressions. An expression may refer to other patterns.
pub(super) const LOGS: &[(&str, &str)] = &[
    // Syslog
    ("SYSLOGTIMESTAMP", "%{MONTH} +%{MONTHDAY} %{TIME}"),
    ("SYSLOGPROG", r"%{PROG:program}(?:\[%{POSINT:pid}\])?"),
    ("SYSLOGHOST", "%{IPORHOST}"),
    ("SYSLOGFACILITY", "<%{NONNEGINT:facility}.%{NONNEGINT:priority}>"),
    (
        "SYSLOGBASE",
        "%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:logsource} %{SYSLOGPROG}:",
    ),
    (
        "SYSLOGBASE2",
        concat!(
            "(?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp8601}) (?:%{SYSLOGFACILITY} )?",
            "%{SYSLOGHOST:logsource}(?: %{SYSLOGPROG}:|)"
        ),
    ),
    ("SYSLOGLINE", "%{SYSLOGBASE2} %{GREEDYDATA:message}"),
    (
        "PAM_SESSION",
        concat!(
            r"%{WORD:pam_module}\(%{DATA:pam_caller}\): session %{WORD:pam_session_state} for user ",
            "%{USERNAME:username}(?: by %{GREEDYDATA:pam_by})?.*"
        ),
    ),
    ("SYSLOGPAMSESSION", "%{SYSLOGBASE} %{PAM_SESSION:message}"),
    ("CRON_ACTION", "[A-Z ]+"),
    ("CRONLOG", r"%{SYSLOGBASE} \(%{USER:user}\) %{CRON_ACTION:action} \(%{DATA:message}\)"),
    ("SYSLOG5424PRINTASCII", "[!-~]+"),
    ("SYSLOG5424PRI", "<%{NONNEGINT:syslog5424_pri}>"),
    ("SYSLOG5424SD", r"\[%{DATA}\]+"),
    (
        "SYSLOG5424BASE",
        concat!(
            "%{SYSLOG5424PRI}%{NONNEGINT:syslog5424_ver} +(?:%{TIMESTAMP_ISO8601:syslog5424_ts}|-) +",
            "(?:%{IPORHOST:syslog5424_host}|-) +(?:-|%{SYSLOG5424PRINTASCII:syslog5424_app}) +",
            "(?:-|%{SYSLOG5424PRINTASCII:syslog5424_proc}) +(?:-|%{SYSLOG5424PRINTASCII:syslog5424_msgid}) +",
            "(?:%{SYSLOG5424SD:syslog5424_sd}|-|)"
        ),
    ),
    ("SYSLOG5424LINE", "%{SYSLOG5424BASE} +%{GREEDYDATA:syslog5424_msg}"),
    // Web servers and proxies
    ("HTTPDUSER", "%{EMAILADDRESS}|%{USER}"),
    ("HTTPDERROR_DATE", "%{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{YEAR}"),
    (
        "HTTPD_COMMONLOG",
        concat!(
            r"%{IPORHOST:clientip} %{HTTPDUSER:ident} %{HTTPDUSER:auth} \[%{HTTPDATE:timestamp}\] ",
            r#""(?:%{WORD:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest})" "#,
            "%{NUMBER:response} (?:%{NUMBER:bytes}|-)"
        ),
    ),
    ("HTTPD_COMBINEDLOG", "%{HTTPD_COMMONLOG} %{QS:referrer} %{QS:agent}"),
    ("COMMONAPACHELOG", "%{HTTPD_COMMONLOG}"),
    ("COMBINEDAPACHELOG", "%{HTTPD_COMBINEDLOG}"),
    (
        "HTTPD20_ERRORLOG",
        concat!(
            r"\[%{HTTPDERROR_DATE:timestamp}\] \[%{LOGLEVEL:loglevel}\] (?:\[client %{IPORHOST:clientip}\] )?",
            "%{GREEDYDATA:message}"
        ),
    ),
    (
        "HTTPD24_ERRORLOG",
        concat!(
            r"\[%{HTTPDERROR_DATE:timestamp}\] \[%{WORD:module}:%{LOGLEVEL:loglevel}\] ",
            r"\[pid %{POSINT:pid}(?::tid %{NUMBER:tid})?\](?: \(%{POSINT:proxy_errorcode}\)%{DATA:proxy_message}:)?",
            r"(?: \[client %{IPORHOST:clientip}:%{POSINT:clientport}\])?(?: %{DATA:errorcode}:)? %{GREEDYDATA:message}"
        ),
    ),
    ("HTTPD_ERRORLOG", "%{HTTPD20_ERRORLOG}|%{HTTPD24_ERRORLOG}"),
    ("HAPROXYTIME", "%{HOUR:haproxy_hour}:%{MINUTE:haproxy_minute}(?::%{SECOND:haproxy_second})"),
    (
        "HAPROXYDATE",
        concat!(
            "%{MONTHDAY:haproxy_monthday}/%{MONTH:haproxy_month}/%{YEAR:haproxy_year}:",
            r"%{HAPROXYTIME:haproxy_time}\.%{INT:haproxy_milliseconds}"
        ),
    ),
    ("HAPROXYCAPTUREDREQUESTHEADERS", "%{DATA:captured_request_headers}"),
    ("HAPROXYCAPTUREDRESPONSEHEADERS", "%{DATA:captured_response_headers}"),
    (
        "HAPROXYREQUEST",
        concat!(
            "<BADREQ>|%{WORD:http_verb} (?:%{URIPROTO:http_proto}://)?(?:%{USER:http_user}(?::[^@]*)?@)?",
            "(?:%{URIHOST:http_host})?(?:%{URIPATHPARAM:http_request})?(?: HTTP/%{NUMBER:http_version})?"
        ),
    ),
    (
        "HAPROXYHTTPBASE",
        concat!(
            r"%{IP:client_ip}:%{INT:client_port} \[%{HAPROXYDATE:accept_date}\] %{NOTSPACE:frontend_name} ",
            "%{NOTSPACE:backend_name}/%{NOTSPACE:server_name} %{INT:time_request}/%{INT:time_queue}/",
            "%{INT:time_backend_connect}/%{INT:time_backend_response}/%{NOTSPACE:time_duration} ",
            "%{INT:http_status_code} %{NOTSPACE:bytes_read} %{DATA:captured_request_cookie} ",
            "%{DATA:captured_response_cookie} %{NOTSPACE:termination_state} ",
            "%{INT:actconn}/%{INT:feconn}/%{INT:beconn}/%{INT:srvconn}/%{NOTSPACE:retries} ",
            "%{INT:srv_queue}/%{INT:backend_queue} ",
            r"(?:\{%{HAPROXYCAPTUREDREQUESTHEADERS}\})? ?(?:\{%{HAPROXYCAPTUREDRESPONSEHEADERS}\})? ?",
            r#""(?:%{HAPROXYREQUEST})?"?"#
        ),
    ),
    (
        "HAPROXYSYSLOG",
        concat!(
            "(?:%{SYSLOGTIMESTAMP:syslog_timestamp}|%{TIMESTAMP_ISO8601:timestamp8601}) ",
            "%{IPORHOST:syslog_server} %{SYSLOGPROG}:"
        ),
    ),
    ("HAPROXYHTTP", "%{HAPROXYSYSLOG} %{HAPROXYHTTPBASE}"),
    (
        "HAPROXYTCP",
        concat!(
            r"%{HAPROXYSYSLOG} %{IP:client_ip}:%{INT:client_port} \[%{HAPROXYDATE:accept_date}\] ",
            "%{NOTSPACE:frontend_name} %{NOTSPACE:backend_name}/%{NOTSPACE:server_name} ",
            "%{INT:time_queue}/%{INT:time_backend_connect}/%{NOTSPACE:time_duration} ",
            "%{NOTSPACE:bytes_read} %{NOTSPACE:termination_state} ",
            "%{INT:actconn}/%{INT:feconn}/%{INT:beconn}/%{INT:srvconn}/%{NOTSPACE:retries} ",
            "%{INT:srv_queue}/%{INT:backend_queue}"
        ),
    ),
    (
        "SQUID3",
        concat!(
            r"%{NUMBER:timestamp}\s+%{NUMBER:duration}\s%{IP:client_address}\s",
            r"%{WORD:cache_result}/%{POSINT:status_code}\s%{NUMBER:bytes}\s%{WORD:request_method}\s%{NOTSPACE:url}\s",
            r"(?:%{NOTSPACE:user}|-)\s%{WORD:hierarchy_code}/%{IPORHOST:server}\s%{NOTSPACE:content_type}"
        ),
    ),
    // Java
    ("JAVACLASS", r"(?:[a-zA-Z0-9-]+\.)+[A-Za-z0-9$]+"),
    ("JAVAFILE", "[A-Za-z0-9_.-]+"),
    ("JAVAMETHOD", "<(?:cl)?init>|[a-zA-Z$_][a-zA-Z$_0-9]*"),
    (
        "JAVASTACKTRACEPART",
        r"%{SPACE}at %{JAVACLASS:class}\.%{JAVAMETHOD:method}\(%{JAVAFILE:file}(?::%{NUMBER:line})?\)",
    ),
    ("JAVATHREAD", "[A-Z]{2}-Processor[0-9]+"),
    ("JAVALOGMESSAGE", ".*"),
    ("CATALINA_DATESTAMP", "%{MONTH} %{MONTHDAY}, 20%{YEAR} %{HOUR}:?%{MINUTE}(?::?%{SECOND}) (?:AM|PM)"),
    (
        "TOMCAT_DATESTAMP",
        "20%{YEAR}-%{MONTHNUM}-%{MONTHDAY} %{HOUR}:?%{MINUTE}(?::?%{SECOND}) %{ISO8601_TIMEZONE}",
    ),
    ("CATALINALOG", "%{CATALINA_DATESTAMP:timestamp} %{JAVACLASS:class} %{JAVALOGMESSAGE:logmessage}"),
    (
        "TOMCATLOG",
        r"%{TOMCAT_DATESTAMP:timestamp} \| %{LOGLEVEL:level} \| %{JAVACLASS:class} - %{JAVALOGMESSAGE:logmessage}",
    ),
    ("MAVEN_VERSION", r"(?:[0-9]+\.)?(?:[0-9]+\.)?(?:\*|[0-9]+)(?:[.-](?:RELEASE|SNAPSHOT))?"),
    // Clouds
    (
        "S3_REQUEST_LINE",
        "%{WORD:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest}",
    ),
    (
        "S3_ACCESS_LOG",
        concat!(
            r"%{WORD:owner} %{NOTSPACE:bucket} \[%{HTTPDATE:timestamp}\] %{IP:clientip} %{NOTSPACE:requester} ",
            r#"%{NOTSPACE:request_id} %{NOTSPACE:operation} %{NOTSPACE:key} (?:"%{S3_REQUEST_LINE}"|-) "#,
            "(?:%{INT:response:int}|-) (?:-|%{NOTSPACE:error_code}) (?:%{INT:bytes:int}|-) ",
            "(?:%{INT:object_size:int}|-) (?:%{INT:request_time_ms:int}|-) (?:%{INT:turnaround_time_ms:int}|-) ",
            r#"(?:%{QS:referrer}|-) (?:"?%{QS:agent}"?|-) (?:-|%{NOTSPACE:version_id})"#
        ),
    ),
    ("ELB_URIPATHPARAM", "%{URIPATH:path}(?:%{URIPARAM:params})?"),
    (
        "ELB_URI",
        "%{URIPROTO:proto}://(?:%{USER}(?::[^@]*)?@)?(?:%{URIHOST:urihost})?(?:%{ELB_URIPATHPARAM})?",
    ),
    (
        "ELB_REQUEST_LINE",
        "%{WORD:verb} %{ELB_URI:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest}",
    ),
    (
        "ELB_ACCESS_LOG",
        concat!(
            "%{TIMESTAMP_ISO8601:timestamp} %{NOTSPACE:elb} %{IP:clientip}:%{INT:clientport:int} ",
            "(?:%{IP:backendip}:?:%{INT:backendport:int}|-) %{NUMBER:request_processing_time:float} ",
            "%{NUMBER:backend_processing_time:float} %{NUMBER:response_processing_time:float} %{INT:response:int} ",
            r#"%{INT:backend_response:int} %{INT:received_bytes:int} %{INT:bytes:int} "%{ELB_REQUEST_LINE}""#
        ),
    ),
    // Databases and applications
    ("POSTGRESQL", "%{DATESTAMP:timestamp} %{TZ} %{DATA:user_id} %{GREEDYDATA:connection_id} %{POSINT:pid}"),
    ("REDISTIMESTAMP", "%{MONTHDAY} %{MONTH} %{TIME}"),
    ("REDISLOG", r"\[%{POSINT:pid}\] %{REDISTIMESTAMP:timestamp} \* "),
    (
        "REDISMONLOG",
        concat!(
            r#"%{NUMBER:timestamp} \[%{INT:database} %{IP:client}:%{NUMBER:port}\] "%{WORD:command}"\s?"#,
            "%{GREEDYDATA:params}"
        ),
    ),
    ("MONGO_LOG", r"%{SYSLOGTIMESTAMP:timestamp} \[%{WORD:component}\] %{GREEDYDATA:message}"),
    ("MONGO_WORDDASH", r"\b[\w-]+\b"),
    ("MONGO3_SEVERITY", r"\w"),
    ("MONGO3_COMPONENT", "%{WORD}|-"),
    (
        "MONGO3_LOG",
        concat!(
            "%{TIMESTAMP_ISO8601:timestamp} %{MONGO3_SEVERITY:severity} %{MONGO3_COMPONENT:component}%{SPACE}",
            r"(?:\[%{DATA:context}\])? %{GREEDYDATA:message}"
        ),
    ),
    ("RUBY_LOGLEVEL", "DEBUG|FATAL|ERROR|WARN|INFO"),
    (
        "RUBY_LOGGER",
        concat!(
            r"[DFEWI], \[%{TIMESTAMP_ISO8601:timestamp} #%{POSINT:pid}\] *%{RUBY_LOGLEVEL:loglevel} -- +",
            "%{DATA:progname}: %{GREEDYDATA:message}"
        ),
    ),
];
