# fish completion for rolecall
function __rolecall_complete
    set -l words (commandline -opc)
    $words[1] __complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c rolecall -f -k -a '(__rolecall_complete)'
