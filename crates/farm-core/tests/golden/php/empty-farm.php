<?php
return array
(
);
