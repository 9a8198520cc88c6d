"""What the scripted model says in several tests."""

BEFORE = "Grüße 😀! Here it is:\n\n"
AFTER = "\n\nOpen it & see < or >."
HTML = "<h1>Hello</h1>\n"
SCRIPT = "const less = 1 < 2;\nconsole.log(less);\n"
FIRST_FILE = f'<boltAction type="file" filePath="index.html">\n{HTML}</boltAction>\n'
SECOND_FILE = f'<boltAction type="file" filePath="src/app.js">\n{SCRIPT}</boltAction>\n'
OPENING = '<boltArtifact id="hello" title="Hello &amp; more">\n'
PAGE = f"{BEFORE}{OPENING}{FIRST_FILE}{SECOND_FILE}</boltArtifact>{AFTER}"
