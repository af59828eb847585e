<?php
return array
(
    "1.2.3.4" => array
    (
        "enabled" => "0",
        "hostname" => "db-01.example.com",
        "mysql" => array("replication_delay" => "0"),
    ),
    "1.2.3.5" => array
    (
        "enabled" => "0",
        "hostname" => "db-02.example.com",
        "mysql" => array("replication_delay" => "1"),
    ),
    "common" => array
    (
    ),
);
