<?php
return array
(
    "a.b" => -9223372036854775807 - 1,
    "big" => 18446744073709551616,
    "blank" => " x ",
    "empty" => "",
    "enabled" => true,
    "exp" => 1e+3,
    "größe" => "日本 😀",
    "hostname" => "cache 01",
    "id" => "007",
    "lines" => "one\ntwo\r\n\tthree\x00",
    "nested" => array("deeper" => array("deepest" => "\$HOME \\ \"x\" \${y}"), "nil" => array(), "none" => array()),
    "note" => null,
    "port" => 11211,
    "ratio" => 1.50,
    "since" => "2024-02-29",
    "switch" => "on",
    "tags" => array("a", "b c", 3, array(), array(), array(1, array(2)), array("k" => "v", "l" => array(null))),
);
