"""URLs that a user may give, and what has to become of each.

Names resolve to a public address unless `ANSWERS` says otherwise, so a name that is refused is
refused for what it is or for where it leads, never because nobody knows it.
"""

PUBLIC = ("93.184.216.34",)

ANSWERS: dict[str, tuple[str, ...]] = {
    "127.0.0.1.nip.io": ("127.0.0.1",),
    "169-254-169-254.sslip.io": ("169.254.169.254",),
    "10.0.0.1.xip.example": ("10.0.0.1",),
    "localtest.me": ("127.0.0.1",),
    "lvh.me": ("127.0.0.1", "::1"),
    "loopback6.example": ("::1",),
    "mapped.example": ("::ffff:10.0.0.1",),
    "unique-local.example": ("fd12:3456:789a::1",),
    "link-local.example": ("fe80::1%eth0",),
    "nat64.example": ("64:ff9b::a9fe:a9fe",),
    "6to4.example": ("2002:7f00:1::",),
    "half.example": ("93.184.216.34", "192.168.1.1"),
    "other-half.example": ("2606:2800:220:1::1", "::1"),
    "cgnat.example": ("100.64.0.1",),
    "azure.example": ("168.63.129.16",),
    "nobody.example": (),
    "localhost4.localdomain4": ("127.0.0.1",),
    "db.corp-split-horizon.example": ("172.20.0.5",),
    "dual.example": ("2606:2800:220:1::1", "93.184.216.34"),
    "ipv6-only-network.example": ("64:ff9b::5db8:d822",),
}

LOOPBACK = """
http://127.0.0.1/
http://127.0.0.1:80/
http://127.0.0.1:443/
https://127.0.0.1/
http://127.0.0.1./
http://127.1/
http://127.0.1/
http://127.255.255.254/
http://127.127.127.127/
http://127.000.000.001/
http://0177.0.0.1/
http://0177.0.0.01/
http://00000177.0.0.1/
http://0x7f.0.0.1/
http://0X7F.0.0.1/
http://0x7f.1/
http://0x7f000001/
http://0x7F000001/
http://0x000000007f000001/
http://017700000001/
http://0000017700000001/
http://2130706433/
http://2130706433./
http://127.0x1/
http://0x7f.0x0.0x0.0x1/
http://0177.0x0.0.1/
http://127.65530/
http://0/
http://0./
http://0x0/
http://0x/
http://00/
http://0.0.0.0/
http://0.0.0.0:80/
http://0.1.2.3/
http://[::1]/
http://[::1]:80/
http://[0:0:0:0:0:0:0:1]/
http://[0000:0000:0000:0000:0000:0000:0000:0001]/
http://[::]/
http://[0::0]/
http://[::127.0.0.1]/
http://[::7f00:1]/
http://[::ffff:127.0.0.1]/
http://[::FFFF:127.0.0.1]/
http://[::ffff:7f00:1]/
http://[0:0:0:0:0:ffff:7f00:1]/
http://[0:0:0:0:0:ffff:127.0.0.1]/
http://[::ffff:0:127.0.0.1]/
http://[64:ff9b::127.0.0.1]/
http://[64:ff9b::7f00:1]/
http://[64:ff9b:1::127.0.0.1]/
http://[2002:7f00:1::]/
http://[2002:7f00:0001::1]/
http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/
http://[2001:0:7f00:1::]/
http://localhost/
http://LOCALHOST/
http://LocalHost:80/
http://localhost./
http://foo.localhost/
http://foo.bar.localhost./
http://localhost.localdomain/
http://localhost4.localdomain4/
http://ip6-localhost/
http://ip6-loopback/
http://127.0.0.1.nip.io/
http://localtest.me/
http://lvh.me/
http://loopback6.example/
"""

INSIDE = """
http://10.0.0.0/
http://10.0.0.1/
http://10.255.255.255/
http://167772161/
http://0xa000001/
http://012.0.0.1/
http://10.1/
http://172.16.0.1/
http://172.31.255.255/
http://192.168.0.1/
http://192.168.1/
http://192.168.257/
http://0xc0a80001/
http://3232235521/
http://0300.0250.0.1/
http://100.64.0.1/
http://100.127.255.255/
http://169.254.1.1/
http://192.0.0.1/
http://192.0.0.9/
http://192.0.0.192/
http://192.0.2.1/
http://192.88.99.1/
http://198.18.0.1/
http://198.19.255.255/
http://198.51.100.7/
http://203.0.113.7/
http://224.0.0.1/
http://239.255.255.250/
http://240.0.0.1/
http://255.255.255.255/
http://0xffffffff/
http://4294967295/
http://[fc00::1]/
http://[fd00::1]/
http://[fdff:ffff::1]/
http://[fe80::1]/
http://[febf::1]/
http://[fec0::1]/
http://[ff02::1]/
http://[ff0e::1]/
http://[100::1]/
http://[100:0:0:1::1]/
http://[2001:2::1]/
http://[2001:10::1]/
http://[2001:20::1]/
http://[2001:db8::1]/
http://[3fff::1]/
http://[3ffe::1]/
http://[5f00::1]/
http://[4000::1]/
http://[::ffff:10.0.0.1]/
http://[::ffff:c0a8:1]/
http://[::10.0.0.1]/
http://[2002:a00:1::]/
http://[2002:c0a8:101::1]/
http://[64:ff9b::10.0.0.1]/
http://[64:ff9b::c0a8:101]/
http://[64:ff9b:1:fffe::a00:1]/
http://[2606:4700::5efe:10.0.0.1]/
http://[2606:4700::200:5efe:a00:1]/
http://[fe80::5efe:192.168.0.1]/
http://intranet/
http://router/
http://redis:80/
http://printer.local/
http://wiki.corp/
http://nas.lan/
http://box.home/
http://router.home.arpa/
http://db.internal/
http://host.docker.internal/
http://gateway.docker.internal./
http://kubernetes.default.svc/
http://kubernetes.default.svc.cluster.local/
http://service.intranet/
http://service.private/
http://expyuzz4wqqyqhjn.onion/
http://10.0.0.1.xip.example/
http://mapped.example/
http://unique-local.example/
http://link-local.example/
http://6to4.example/
http://cgnat.example/
http://db.corp-split-horizon.example/
http://half.example/
http://other-half.example/
http://nobody.example/
"""

METADATA = """
http://169.254.169.254/latest/meta-data/
http://169.254.169.254./latest/meta-data/
http://169.254.169.254:80/latest/meta-data/iam/security-credentials/
http://2852039166/latest/meta-data/
http://0xA9FEA9FE/
http://0251.0376.0251.0376/
http://025177524776/
http://169.254.43518/
http://169.16689662/
http://0xa9.254.0251.254/
http://[::ffff:169.254.169.254]/
http://[::ffff:a9fe:a9fe]/
http://[::169.254.169.254]/
http://[64:ff9b::169.254.169.254]/
http://[2002:a9fe:a9fe::]/
http://[fd00:ec2::254]/latest/meta-data/
http://[fd20:ce::254]/
http://[fe80::a9fe:a9fe]/
http://169.254.170.2/v2/credentials/
http://100.100.100.200/latest/meta-data/
http://168.63.129.16/machine/
http://metadata/computeMetadata/v1/
http://metadata.google.internal/computeMetadata/v1/
http://METADATA.google.internal./computeMetadata/v1/
http://instance-data/latest/meta-data/
http://instance-data.ec2.internal/latest/meta-data/
http://metadata.packet.net/userdata
https://metadata.platformequinix.com/metadata
http://169-254-169-254.sslip.io/latest/
http://nat64.example/
http://azure.example/
"""

UNCLEAR = """

example.com
//example.com/
/path
http
http:
http:/
http://
http:///
https://?
http://#
http:///example.com/
http:example.com
http:/example.com/
http:////example.com/
https:\\\\example.com/
http:\\/\\/example.com/
http://example.com\\@127.0.0.1/
http://127.0.0.1\\@example.com/
http://example.com/a\\..\\b
http://user@example.com/
http://user:password@example.com/
http://@example.com/
http://:@example.com/
http://example.com@127.0.0.1/
http://127.0.0.1@example.com/
http://example.com:80@127.0.0.1/
http://example.com%40127.0.0.1/
http://example.com;@127.0.0.1/
http://%31%32%37.0.0.1/
http://127.0.0%2e1/
http://%6c%6f%63%61%6c%68%6f%73%74/
http://example%2ecom/
http://example.com%00.127.0.0.1/
http://exam%00ple.com/
http://example.com%2f@127.0.0.1/
http://1.2.3.4.5/
http://256.256.256.256/
http://127.0.0.256/
http://1.2.3.99999/
http://08.8.8.8/
http://0x100000000/
http://4294967296/
http://6425673729/
http://425.510.425.510/
http://7147006462/
http://o177.0.0.1/
http://0o177.0.0.1/
http://q177.0.0.1/
http://0000::1:80/
http:@0/
http:127.0.0.1/
http://localhost:+11211aaa/
http://localhost:00011211aaaa/
http://127.1.1.1:80\\@127.2.2.2:80/
http://127.1.1.1:80:\\@@127.2.2.2:80/
http://127.1.1.1:80#\\@127.2.2.2:80/
0://127.0.0.1:80;http://example.com:80/
http://99999999999999999999/
http://1..2/
http://.1.2.3/
http://example.1/
http://example.0x7f/
http://example..com/
http://.example.com/
http://example.com../
http://./
http://../
http://-example.com/
http://example-.com/
http://example!.com/
http://exa mple.com/
http://exa+mple.com/
http://example,com/
http://<example.com>/
http://{example}.com/
http://example.com:0/
http://example.com:65536/
http://example.com:99999999999/
http://example.com:-80/
http://example.com:+80/
http://example.com:8_0/
http://example.com:80:80/
http://example.com:http/
http://example.com:80a/
http://example.com:٨٠/
http://[::1/
http://::1/
http://[::1]extra/
http://[::1].example.com/
http://[::1]:80:80/
http://[::1%25lo]/
http://[fe80::1%eth0]/
http://[fe80::1%25eth0]/
http://[2606:4700::1111%25eth0]/
http://[127.0.0.1]/
http://[example.com]/
http://[]/
http://[:]/
http://[:::]/
http://[1::2::3]/
http://[1:2:3:4:5:6:7:8:9]/
http://[12345::1]/
http://[::127.0.0.256]/
http://[::127.1]/
http://[v1.fe80::1]/
http://[[::1]]/
http://[٠::1]/
http://ex／ample.com/
http://example.com＠127.0.0.1/
http://example.com？@127.0.0.1/
http://example.com％2f/
http://example．com．．/
http://☃.example/
http://a\u202eb.example/
http://a\u200db.example/
http://xn--a.example/
http://xn--127-.example/
http://xn--localhost-.example/
http://xn--.example/
http://\ud800.example/
"""

UNICODE_INSIDE = """
http://127。0。0。1/
http://127．0．0．1/
http://127｡0｡0｡1/
http://１２７.0.0.1/
http://①②⑦.⓪.⓪.①/
http://⑯⑨。②⑤④。⑯⑨。②⑤④/
http://𝟙𝟚𝟟.𝟘.𝟘.𝟙/
http://0ｘ7f000001/
http://２１３０７０６４３３/
http://ｌｏｃａｌｈｏｓｔ/
http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/
http://localhoſt/
http://ℓocalhost/
http://loc\u00adalhost/
http://loc\u200balhost/
http://local\u2060host/
http://localhost\u3002/
http://foo.ｌocalhost/
http://metadata.google.interna\u2113/
http://1\u00ad27.0.0.1/
http://127.0.0.1\u00ad/
http://лocalhost/
http://locаlhost/
"""

SCHEMES = """
ftp://example.com/
file:///etc/passwd
file://localhost/etc/passwd
gopher://127.0.0.1:6379/_INFO
dict://127.0.0.1:11211/stats
ldap://127.0.0.1/
sftp://example.com/
tftp://example.com/x
ssh://git@example.com/
git://example.com/repo.git
git+http://example.com/
jar:http://example.com!/
view-source:http://example.com/
url:http://example.com/
http+unix://%2Fvar%2Frun%2Fdocker.sock/info
unix:///var/run/docker.sock
ws://example.com/
wss://example.com/
data:text/html,hello
javascript:alert(1)
blob:https://example.com/1
about:blank
mailto:a@example.com
httpx://example.com/
hxxp://example.com/
0http://example.com/
ｈｔｔｐ://example.com/
"""

PORTS = """
http://example.com:22/
http://example.com:25/
http://example.com:81/
http://example.com:2375/
http://example.com:3306/
http://example.com:5432/
http://example.com:6379/
http://example.com:8080/
https://example.com:8443/
https://example.com:9200/
http://8.8.8.8:53/
http://[2606:4700::1111]:11211/
"""

SPACES = (
    " http://example.com/",
    "http://example.com/ ",
    "\thttp://example.com/",
    "http://example.com/\n",
    "ht\ntp://example.com/",
    "http://exam\tple.com/",
    "http://127.0\n.0.1/",
    "http://example.com/\r\nHost: 127.0.0.1",
    "http://example.com\r\n.127.0.0.1/",
    "http://example.com\x00@127.0.0.1/",
    "http://example.com\x0b/",
    "http://example.com/\x7f",
    "http://example.com/\x85",
    "http://exam\u00a0ple.com/",
    "http://example.com/\u2028",
    "http://exam\u3000ple.com/",
    "\ufeffhttp://example.com/",
    "\u200bhttp://example.com/",
    "\x00http://example.com/",
    "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    "http://" + "a" * 64 + ".example/",
    "http://" + "a." * 130 + "example/",
    "http://" + "1" * 5000 + "/",
    "http://example.com/" + "a" * 9000,
    "http://" + "é" * 300 + ".example/",
)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")[1:-1])


REFUSED: dict[str, tuple[str, ...]] = {
    "loopback": _lines(LOOPBACK),
    "inside": _lines(INSIDE),
    "metadata": _lines(METADATA),
    "unclear": _lines(UNCLEAR),
    "unicode": _lines(UNICODE_INSIDE),
    "schemes": _lines(SCHEMES),
    "ports": _lines(PORTS),
    "spaces": SPACES,
}

PASSED: dict[str, str] = {
    "https://example.com": "https://example.com/",
    "http://example.com/": "http://example.com/",
    "HTTPS://Example.COM/Path": "https://example.com/Path",
    "https://example.com:443/": "https://example.com/",
    "http://example.com:80/a": "http://example.com/a",
    "https://example.com:80/": "https://example.com:80/",
    "http://example.com:443/": "http://example.com:443/",
    "https://example.com:/": "https://example.com/",
    "https://example.com:0443/": "https://example.com/",
    "https://example.com./a": "https://example.com/a",
    "https://sub.domain.example.co.uk/": "https://sub.domain.example.co.uk/",
    "https://my_bucket.example.com/": "https://my_bucket.example.com/",
    "https://a--b.example/": "https://a--b.example/",
    "https://1password.example/": "https://1password.example/",
    "https://8.8.8.8.example/": "https://8.8.8.8.example/",
    "https://localhost.example/": "https://localhost.example/",
    "https://internal.example/": "https://internal.example/",
    "https://example.com?q=1": "https://example.com/?q=1",
    "https://example.com/?": "https://example.com/",
    "https://example.com#top": "https://example.com/",
    "https://example.com/a#@127.0.0.1/": "https://example.com/a",
    "https://example.com/?u=http://127.0.0.1/": "https://example.com/?u=http://127.0.0.1/",
    "https://example.com?@127.0.0.1/": "https://example.com/?@127.0.0.1/",
    "https://example.com/@127.0.0.1/": "https://example.com/@127.0.0.1/",
    "https://example.com/a/../b/./c": "https://example.com/b/c",
    "https://example.com/a/%2e%2E/b": "https://example.com/b",
    "https://example.com/../../x": "https://example.com/x",
    "https://example.com/a%2Fb%20c": "https://example.com/a%2Fb%20c",
    "https://example.com/100%": "https://example.com/100%",
    "https://example.com/naïve?q=größe": "https://example.com/na%C3%AFve?q=gr%C3%B6%C3%9Fe",
    "https://example.com/a|b[1]": "https://example.com/a|b[1]",
    'https://example.com/"<>`{}^': "https://example.com/%22%3C%3E%60%7B%7D%5E",
    "https://example.com/it's?it's": "https://example.com/it's?it%27s",
    "https://example.com/repo.git/info/refs?service=git-upload-pack": (
        "https://example.com/repo.git/info/refs?service=git-upload-pack"
    ),
    "http://8.8.8.8/": "http://8.8.8.8/",
    "http://8.8.8.8./": "http://8.8.8.8/",
    "http://134744072/": "http://8.8.8.8/",
    "http://0x08080808/": "http://8.8.8.8/",
    "http://010.010.010.010/": "http://8.8.8.8/",
    "http://0127.0.0.1/": "http://87.0.0.1/",  # octal, as in a browser; and sent so
    "http://1.1/": "http://1.0.0.1/",
    "http://172.15.255.255/": "http://172.15.255.255/",
    "http://172.32.0.1/": "http://172.32.0.1/",
    "http://100.63.255.255/": "http://100.63.255.255/",
    "http://100.128.0.1/": "http://100.128.0.1/",
    "http://192.0.1.1/": "http://192.0.1.1/",
    "http://198.20.0.1/": "http://198.20.0.1/",
    "http://223.255.255.255/": "http://223.255.255.255/",
    "https://[2606:4700:4700::1111]/": "https://[2606:4700:4700::1111]/",
    "https://[2606:4700:4700:0:0:0:0:1111]/dns": "https://[2606:4700:4700::1111]/dns",
    "https://[2001:4860:4860::8888]:443/": "https://[2001:4860:4860::8888]/",
    "https://[2A00:1450:4001:82A::200E]/": "https://[2a00:1450:4001:82a::200e]/",
    "http://[64:ff9b::8.8.8.8]/": "http://[64:ff9b::808:808]/",
    "https://münchen.example/": "https://xn--mnchen-3ya.example/",
    "https://MÜNCHEN.example/": "https://xn--mnchen-3ya.example/",
    "https://xn--mnchen-3ya.example/": "https://xn--mnchen-3ya.example/",
    "https://faß.example/": "https://xn--fa-hia.example/",
    "https://例え。テスト/": "https://xn--r8jz45g.xn--zckzah/",
    "https://пример.example/": "https://xn--e1afmkfd.example/",
    "https://ｅｘａｍｐｌｅ.com/": "https://example.com/",
    "https://dual.example/": "https://dual.example/",
    "https://ipv6-only-network.example/": "https://ipv6-only-network.example/",
}
